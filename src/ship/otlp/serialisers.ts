/** What is used of OpenTelemetry's packages, in a module of its own: it is loaded where crashes are sent, and only there. */
export { JsonLogsSerializer, ProtobufLogsSerializer } from '@opentelemetry/otlp-transformer'
