/** Where crashes go, as the command line and the environment say. */
import t from 'tap'
import { settingsOf, shownUrl, shownWay } from '#src/ship/otlp/settings.js'
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

const proxies: readonly (readonly [url: string, env: Environment, by: string | null])[] = [
  ['http://c', {}, null],
  ['http://c', { http_proxy: 'http://p:3128' }, 'http://p:3128/'],
  ['http://c', { HTTP_PROXY: 'p:3128' }, 'http://p:3128/'],
  ['http://c', { http_proxy: 'http://a', HTTP_PROXY: 'http://b' }, 'http://a/'],
  ['http://c', { http_proxy: '' }, null],
  ['http://c', { https_proxy: 'http://p' }, null],
  ['https://c', { https_proxy: 'http://u:w@p' }, 'http://u:w@p/'],
  ['https://c', { http_proxy: 'http://p' }, null],
  ['https://c', { ALL_PROXY: 'http://p' }, 'http://p/'],
  ...['localhost', 'a.localhost', '127.0.0.1', '127.1', '[::1]'].map(
    host => [`http://${host}:4318`, { all_proxy: 'http://p' }, null] as const,
  ),
  ['http://localhost.example', { all_proxy: 'http://p' }, 'http://p/'],
  ...(
    [
      ['*', null],
      ['c.example', null],
      ['C.Example', null],
      ['other, example', null],
      ['.example', null],
      ['*.example', null],
      ['c.example:4318', null],
      ['c.example:80', 'http://p/'],
      ['ample', 'http://p/'],
      ['b.c.example', 'http://p/'],
      [' , . ', 'http://p/'],
    ] as const
  ).map(
    ([no_proxy, by]) => ['http://c.example:4318', { all_proxy: 'http://p', no_proxy }, by] as const,
  ),
  ['http://c', { all_proxy: 'http://p', NO_PROXY: 'c:80' }, null],
  ...(
    [
      ['fd00::12', null],
      ['[fd00::12]', null],
      ['[fd00::12]:4318', null],
      ['[fd00::12]:80', 'http://p/'],
      ['fd00::1', 'http://p/'],
    ] as const
  ).map(
    ([no_proxy, by]) =>
      ['http://[fd00::12]:4318', { all_proxy: 'http://p', no_proxy }, by] as const,
  ),
  ['https://c', { all_proxy: 'http://p', NO_PROXY: 'c:80' }, 'http://p/'],
  ['https://c', { all_proxy: 'http://p', NO_PROXY: 'c:443' }, null],
]

for (const [url, env, by] of proxies)
  t.test(`${url} ${JSON.stringify(env)} goes by ${by}`, async t =>
    t.equal(settingsOf(url, env).proxy?.href ?? null, by),
  )

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
  ['http://c', { all_proxy: `socks5://${secret}` }, /^all_proxy: give a URL such as http:/],
  ['https://c', { https_proxy: `https://${secret}` }, /^https_proxy: only http:/],
  ['http://c', { http_proxy: `http://%zz:${secret}@p` }, /^http_proxy: its user and password/],
  ['http://c', { HTTP_PROXY: `http://${secret}:x` }, /^HTTP_PROXY: give a URL/],
]

for (const [url, env, why] of refused)
  t.test(`${url} ${JSON.stringify(env)} is refused`, async t => {
    const error = t.throws(() => settingsOf(url, env), { name: 'StoreError', message: why })
    t.notMatch(String(error), secret, 'no value of it is said')
  })

t.test('what messages say of a URL', async t => {
  t.equal(shownUrl(new URL('https://u:p@c:1/x?key=1#y')), 'https://c:1/x')
  const settings = settingsOf('http://c', { http_proxy: 'http://u:p@proxy:1' })
  t.equal(shownWay(settings), 'http://c/v1/logs (proxy http://proxy:1/)')
})
