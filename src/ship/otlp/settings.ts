/**
 * Where crashes go and how: a URL, and the variables of every OpenTelemetry exporter.
 *
 * Source: opentelemetry.io/docs/specs/otel/protocol/exporter and …/configuration/sdk-environment-variables. Those
 * for logs, OTEL_EXPORTER_OTLP_LOGS_…, win.
 */
import { readWhole } from '../../native/open.js'
import { StoreError } from '../../pstore/errors.js'
import { proxyOf } from './proxy.js'
import { find, parseUrl, type Environment, type Variable } from './variables.js'

export interface Attributes {
  readonly [name: string]: string
}

export interface Settings {
  readonly url: URL
  /** Through which it is reached; null: straight. */
  readonly proxy: URL | null
  readonly isJson: boolean
  readonly isGzip: boolean
  readonly headers: Attributes
  /** How long one request may take, in ms. */
  readonly timeout: number
  readonly tls: { readonly ca?: Buffer; readonly cert?: Buffer; readonly key?: Buffer }
  readonly serviceName: string
  /** Of OTEL_RESOURCE_ATTRIBUTES. */
  readonly resource: Attributes
}

const prefix = 'OTEL_EXPORTER_OTLP_'
const path = 'v1/logs'
const defaultUrl = 'http://localhost:4318'
const defaultTimeout = 10_000
const defaultService = 'pstorefs'
/** Bytes of a certificate file: what distributions trust takes a quarter of a MiB. */
const largestCertificate = 2 ** 24

/** A variable for logs, or for all that is sent. */
const exporters = (env: Environment, name: string): Variable | null =>
  find(env, [`${prefix}LOGS_${name}`, `${prefix}${name}`])

const one = <T extends string>(
  variable: Variable | null,
  of: readonly [T, ...T[]],
  more = '',
): T => {
  if (!variable) return of[0]
  const found = of.find(value => value === variable.value)
  if (found === undefined)
    throw new StoreError(`${variable.name}: only ${of.join(' and ')} are known here${more}`)
  return found
}

/** A URL that all of OTLP is below. */
const below = (url: URL): URL => {
  const made = new URL(url)
  if (!url.pathname.endsWith(`/${path}`))
    made.pathname = `${url.pathname.replace(/\/$/, '')}/${path}`
  return made
}

const urlOf = (given: string | undefined, env: Environment): URL => {
  if (given !== undefined) return below(parseUrl(given, 'URL', defaultUrl))
  const exact = find(env, [`${prefix}LOGS_ENDPOINT`])
  if (exact) return parseUrl(exact.value, exact.name, defaultUrl)
  const base = find(env, [`${prefix}ENDPOINT`])
  return below(parseUrl(base?.value ?? defaultUrl, base?.name ?? 'URL', defaultUrl))
}

/** `NAME=VALUE,…`, as W3C's baggage has them: values are percent-encoded. */
const listOf = (variable: Variable | null): Attributes => {
  const pairs = (variable?.value ?? '')
    .split(',')
    .filter(pair => pair.trim() !== '')
    .map(pair => {
      const equals = pair.indexOf('=')
      const name = pair.slice(0, Math.max(0, equals)).trim()
      try {
        if (name !== '') return [name, decodeURIComponent(pair.slice(equals + 1).trim())] as const
      } catch {
        // Told below.
      }
      throw new StoreError(`${variable!.name}: is no list NAME=VALUE,… of percent-encoded values`)
    })
  return Object.fromEntries(pairs)
}

/** What a request's headers may hold (RFC 9110 5.1, 5.5). */
const headerName = /^[\w!#$%&'*+.^`|~-]+$/
const headerValue = /^[\t\x20-\x7e\x80-\xff]*$/

const headersOf = (env: Environment): Attributes => {
  const variable = exporters(env, 'HEADERS')
  const headers = listOf(variable)
  for (const [name, value] of Object.entries(headers))
    if (!headerName.test(name) || !headerValue.test(value))
      throw new StoreError(`${variable!.name}: has a header that HTTP cannot carry`)
  return headers
}

const timeoutOf = (variable: Variable | null): number => {
  if (!variable) return defaultTimeout
  if (!/^[1-9]\d{0,8}$/.test(variable.value))
    throw new StoreError(`${variable.name}: give milliseconds from 1`)
  return Number(variable.value)
}

const certificate = (variable: Variable | null): Buffer | undefined => {
  if (!variable) return undefined
  try {
    return readWhole(variable.value, largestCertificate)
  } catch (error) {
    if (!(error instanceof StoreError)) throw error
    throw new StoreError(`${variable.name}: ${error.message}`, error.code)
  }
}

/**
 * @param given the URL of the command line, to which `/v1/logs` is added where it does not end so
 * @throws StoreError where something of it cannot be followed
 */
export const settingsOf = (given: string | undefined, env: Environment): Settings => {
  const protocol = one(exporters(env, 'PROTOCOL'), ['http/protobuf', 'http/json'], ', and no gRPC')
  const [ca, cert, key] = ['CERTIFICATE', 'CLIENT_CERTIFICATE', 'CLIENT_KEY'].map(name =>
    certificate(exporters(env, name)),
  )
  const { 'service.name': service, ...resource } = listOf(find(env, ['OTEL_RESOURCE_ATTRIBUTES']))
  const url = urlOf(given, env)
  return {
    url,
    proxy: proxyOf(url, env),
    isJson: protocol === 'http/json',
    isGzip: one(exporters(env, 'COMPRESSION'), ['none', 'gzip']) === 'gzip',
    headers: headersOf(env),
    timeout: timeoutOf(exporters(env, 'TIMEOUT')),
    tls: { ...(ca && { ca }), ...(cert && { cert }), ...(key && { key }) },
    serviceName: find(env, ['OTEL_SERVICE_NAME'])?.value ?? service ?? defaultService,
    resource,
  }
}

/** Where crashes go, and by what, for messages. */
export const shownWay = ({ url, proxy }: Settings): string =>
  `${shownUrl(url)}${proxy ? ` (proxy ${shownUrl(proxy)})` : ''}`

/** A URL as messages have it: without user, password and what follows the path. */
export const shownUrl = ({ protocol, host, pathname }: URL): string =>
  `${protocol}//${host}${pathname}`
