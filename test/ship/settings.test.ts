/** Where crashes go, as the command line and the environment say. */
import t from 'tap'
import { settingsOf, shownUrl } from '#src/ship/otlp/settings.js'
import { file } from '../program.js'

interface Environment {
  readonly [name: string]: string
}

const urls: readonly (readonly [url: string | undefined, env: Environment, is: string])[] = [
  [undefined, {}, 'http://localhost:4318/v1/logs'],
  ['http://c:4318', {}, 'http://c:4318/v1/logs'],
  ['https://c/otlp/', {}, 'https://c/otlp/v1/logs'],
  ['https://c/api/v1/logs', {}, 'https://c/api/v1/logs'],
  ['https://c/?key=1', {}, 'https://c/v1/logs?key=1'],
  [undefined, { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://c/x' }, 'http://c/x/v1/logs'],
  [undefined, { OTEL_EXPORTER_OTLP_LOGS_ENDPOINT: 'http://c/x' }, 'http://c/x'],
  [
    undefined,
    { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://a', OTEL_EXPORTER_OTLP_LOGS_ENDPOINT: ' ' },
    'http://a/v1/logs',
  ],
  ['http://c', { OTEL_EXPORTER_OTLP_LOGS_ENDPOINT: 'http://a' }, 'http://c/v1/logs'],
]

for (const [url, env, is] of urls)
  t.test(`${url} ${JSON.stringify(env)}`, async t => t.equal(settingsOf(url, env).url.href, is))

t.test('all else', async t => {
  const ca = file(t, Buffer.from('ca'), 'ca.pem')
  const settings = settingsOf(undefined, {
    OTEL_EXPORTER_OTLP_PROTOCOL: 'http/protobuf',
    OTEL_EXPORTER_OTLP_LOGS_PROTOCOL: 'http/json',
    OTEL_EXPORTER_OTLP_HEADERS: 'a=b',
    OTEL_EXPORTER_OTLP_LOGS_HEADERS: 'authorization=Basic%20dTpw, x-scope = 1 ,',
    OTEL_EXPORTER_OTLP_COMPRESSION: 'gzip',
    OTEL_EXPORTER_OTLP_TIMEOUT: '250',
    OTEL_EXPORTER_OTLP_CERTIFICATE: ca,
    OTEL_RESOURCE_ATTRIBUTES: 'service.name=a,deployment.environment.name=x%2Cy',
  })
  t.match(settings, {
    isJson: true,
    isGzip: true,
    timeout: 250,
    tls: { ca: Buffer.from('ca') },
    serviceName: 'a',
  })
  t.same(settings.headers, { authorization: 'Basic dTpw', 'x-scope': '1' })
  t.same(settings.resource, { 'deployment.environment.name': 'x,y' })
  const named = { OTEL_SERVICE_NAME: 'b', OTEL_RESOURCE_ATTRIBUTES: 'service.name=a' }
  t.equal(settingsOf(undefined, named).serviceName, 'b')
  t.match(settingsOf(undefined, {}), {
    isJson: false,
    isGzip: false,
    timeout: 10_000,
    tls: {},
    serviceName: 'pstorefs',
  })
})

const secret = 'hidden'
const refused: readonly (readonly [url: string | undefined, env: Environment, why: RegExp])[] = [
  [secret, {}, /^URL: give a URL such as http:/],
  [`ftp://${secret}`, {}, /^URL: give a URL/],
  [`http://%zz:${secret}@c`, {}, /^URL: its user and password/],
  [undefined, { OTEL_EXPORTER_OTLP_ENDPOINT: secret }, /^OTEL_EXPORTER_OTLP_ENDPOINT: give a URL/],
  [undefined, { OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc' }, /_PROTOCOL: only .*http\/json.* no gRPC$/],
  [undefined, { OTEL_EXPORTER_OTLP_COMPRESSION: 'br' }, /_COMPRESSION: only none and gzip/],
  [undefined, { OTEL_EXPORTER_OTLP_TIMEOUT: '1s' }, /_TIMEOUT: give milliseconds/],
  [undefined, { OTEL_EXPORTER_OTLP_HEADERS: secret }, /_HEADERS: is no list/],
  [undefined, { OTEL_EXPORTER_OTLP_HEADERS: `a=${secret}%zz` }, /_HEADERS: is no list/],
  [undefined, { OTEL_EXPORTER_OTLP_HEADERS: `a=${secret}%0d%0ab:c` }, /that HTTP cannot carry/],
  [undefined, { OTEL_EXPORTER_OTLP_HEADERS: `a b=${secret}` }, /that HTTP cannot carry/],
  [undefined, { OTEL_RESOURCE_ATTRIBUTES: `=${secret}` }, /^OTEL_RESOURCE_ATTRIBUTES: is no list/],
  [undefined, { OTEL_EXPORTER_OTLP_CERTIFICATE: '/nowhere' }, /_CERTIFICATE: .*no such file/],
]

for (const [url, env, why] of refused)
  t.test(`${url} ${JSON.stringify(env)} is refused`, async t => {
    const error = t.throws(() => settingsOf(url, env), { name: 'StoreError', message: why })
    t.notMatch(String(error), secret, 'no value of it is said')
  })

t.test('what messages say of a URL', async t => {
  t.equal(shownUrl(new URL('https://u:p@c:1/x?key=1#y')), 'https://c:1/x')
})
