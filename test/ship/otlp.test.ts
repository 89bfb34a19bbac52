/** `pstorefs ship`: what it sends, and what becomes of that when a collector does not take it. */
import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import http from 'node:http'
import net from 'node:net'
import path from 'node:path'
import t, { type Test } from 'tap'
import { isOwn } from '#src/ship/otlp/records.js'
import { thisHost } from '#src/native/host.js'
import { folder, program, pstorefs, until } from '../program.js'
import { archiveOf, changeManifests, firstTime, unsentIn } from './archives.js'
import {
  receive,
  serve,
  ship,
  startProgram,
  type Environment,
  type Reply,
  type Seen,
} from './receiver.js'

interface Value {
  stringValue?: string
  intValue?: number
  bytesValue?: string
}

interface Sent {
  resource: { [name: string]: string | undefined }
  attributes: { [name: string]: string | number | undefined }
  body: Value
  timeUnixNano: string
  severityNumber: number
  eventName?: string
}

interface Pair {
  key: string
  value: Value
}

const attributesOf = (pairs: Pair[]) =>
  Object.fromEntries(pairs.map(({ key, value }) => [key, value.stringValue ?? value.intValue]))

/** The log records of requests in JSON. */
const recordsOf = (seen: readonly Seen[]): Sent[] =>
  seen.flatMap(({ body }) => {
    const { resourceLogs } = JSON.parse(body.toString()) as {
      resourceLogs: {
        resource: { attributes: Pair[] }
        scopeLogs: { logRecords: (Omit<Sent, 'attributes'> & { attributes: Pair[] })[] }[]
      }[]
    }
    return resourceLogs.flatMap(({ resource, scopeLogs }) =>
      scopeLogs
        .flatMap(({ logRecords }) => logRecords)
        .map(record => ({
          ...record,
          resource: attributesOf(resource.attributes) as Sent['resource'],
          attributes: attributesOf(record.attributes),
        })),
    )
  })

const json: Environment = { OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json' }
const well: Reply = { status: 200 }
const panic = '<0>[   12.000000] Kernel panic - not syncing: why\n'

t.test('what is sent of a crash', async t => {
  const noUtf8 = Buffer.from([0x68, 0x69, 0xff, 0x0a])
  const words = { dumps: [panic], console: 'all is well\n', pmsg: noUtf8 }
  const archive = archiveOf(t, words)
  const [crash] = unsentIn(archive)
  const { url, seen } = await receive(t, [well])
  const env = { ...json, OTEL_RESOURCE_ATTRIBUTES: 'host.type=big,deployment=a' }
  t.match(await ship([archive, url], env), {
    status: 0,
    stderr: '',
    stdout: Buffer.from(`${archive}: 1 crash sent to ${url}/v1/logs\n`),
  })
  const [event, ...others] = recordsOf(seen)
  t.match(seen, [{ path: '/v1/logs', headers: { 'content-type': 'application/json' } }])
  t.match(event, {
    body: { stringValue: `Panic#1 Part1\n${panic}` },
    timeUnixNano: `${firstTime}000000000`,
    severityNumber: 21,
    severityText: 'FATAL',
    eventName: 'linux.kernel.crash',
  })
  t.match(event!.attributes, {
    'log.record.uid': crash!.uid,
    'crash.id': crash!.uid,
    'crash.title': 'kernel panic: why',
    'crash.reason': 'panic',
    'pstore.backend': 'ramoops',
    'pstore.record': 'dmesg-ramoops-0',
    'pstore.sha256': crash!.dumps[0]!.sha256,
  })
  const { name, id } = thisHost()
  t.same(event!.resource, {
    'service.name': 'pstorefs',
    'pstorefs.host.name': name,
    ...(id !== null && { 'pstorefs.host.id': id }),
    'pstorefs.host.type': 'big',
    deployment: 'a',
  })
  t.match(others, [
    { body: { stringValue: 'all is well\n' }, severityNumber: 9, eventName: undefined },
    { body: { bytesValue: noUtf8.toString('base64') }, severityNumber: 9 },
  ])
  t.same(
    others.map(({ attributes }) => attributes['log.record.uid']),
    crash!.others.map(({ uid }) => uid),
  )
  t.match(await ship([archive, url]), {
    status: 0,
    stdout: Buffer.from(`${archive}: nothing is left to send\n`),
  })
  const none = folder(t)
  t.match(await ship([none, url]), {
    status: 0,
    stdout: Buffer.from(`${none}: no crash is in it\n`),
  })
  t.equal(seen.length, 1)
})

t.test(
  'a crash of the machine itself is its own; of another archive the host that is named',
  async t => {
    const archive = archiveOf(t, { dumps: [panic] })
    changeManifests(archive, manifest => ({
      ...manifest,
      source: '/dev/pmem0',
      host: { name: 'far', id: '00' },
    }))
    const { url, seen } = await receive(t, [well])
    const env = { ...json, OTEL_RESOURCE_ATTRIBUTES: 'host.type=big' }
    t.equal((await ship([archive, url], env)).status, 0)
    t.same(recordsOf(seen)[0]!.resource, {
      'service.name': 'pstorefs',
      'host.name': 'far',
      'host.id': '00',
    })
  },
)

for (const [source, is] of [
  ['/sys/firmware/efi/efivars', true],
  ['/sys/fs/pstore', true],
  ['/dev/pmem0', true],
  ['/dev/nvme0n1p3', true],
  ['/dev/dm-3', false],
  ['/dev/loop1', false],
  ['/dev/zvol/tank/guest', false],
  ['/var/lib/systemd/pstore', true],
  ['/var/lib/systemd/pstore/17/001', true],
  ['/var/lib/systemd/pstores', false],
  ['/var/lib/guests/1/pstore.img', false],
  ['/system', false],
  ['-', false],
] as const)
  t.test(`${source} is ${is ? 'the' : 'no'} machine's own`, async t => t.equal(isOwn(source), is))

t.test('what is no crash is no event', async t => {
  const shutdown = archiveOf(t, { dumps: ['reboot: Power down\n'] })
  changeManifests(shutdown, manifest => ({ ...manifest, reason: 'shutdown', title: null }))
  const rings = archiveOf(t, { dumps: [], console: 'all is well\n' })
  const died = archiveOf(t, { dumps: [], console: `so far\n${panic.slice(3)}` })
  const { url, seen } = await receive(t, [well])
  for (const archive of [shutdown, rings, died])
    t.equal((await ship([archive, url], json)).status, 0)
  t.same(
    recordsOf(seen).map(({ severityNumber, eventName }) => [severityNumber, eventName]),
    [
      [9, 'linux.kernel.shutdown'],
      [9, undefined],
      [21, 'linux.kernel.crash'],
    ],
  )
})

t.test('a time that OTLP cannot say is not known', async t => {
  const archive = archiveOf(t, { dumps: [panic] })
  const { url, seen } = await receive(t, [well])
  for (const time of ['-1.000000000', '9223372036854775807.000000000', null]) {
    changeManifests(archive, manifest => ({ ...manifest, time }))
    t.equal((await ship([archive, url], json)).status, 0)
    fs.rmSync(path.join(archive, crashIn(archive), '.sent-otlp'))
  }
  t.same(
    recordsOf(seen).map(({ timeUnixNano }) => timeUnixNano),
    ['0', '0', '0'],
  )
})

const crashIn = (archive: string): string =>
  fs.readdirSync(archive).find(name => !name.startsWith('.'))!

const asJson = { 'content-type': 'application/json' }
const asProtobuf = { 'content-type': 'application/x-protobuf' }
/** ExportLogsServiceResponse: 2 records rejected, `no`. */
const rejection = Buffer.from([0x0a, 0x06, 0x08, 0x02, 0x12, 0x02, 0x6e, 0x6f])
const busy: Reply = { status: 429, headers: { 'retry-after': '0' } }

interface Case {
  readonly replies: readonly [Reply, ...Reply[]]
  /** How many requests there are. */
  readonly requests: number
  /** What is said; undefined: all is taken. */
  readonly why?: RegExp
}

/** What collectors answer to two crashes. */
const answers: { readonly [name: string]: Case } = {
  'an empty 200': { replies: [well], requests: 1 },
  'an empty object': { replies: [{ status: 200, headers: asJson, body: '{}' }], requests: 1 },
  'nothing rejected, in words of an older protobuf': {
    replies: [
      {
        status: 200,
        headers: { 'content-type': 'application/json; charset=utf-8' },
        body: '{"partialSuccess":{"rejectedLogRecords":"0","errorMessage":""}}',
      },
    ],
    requests: 1,
  },
  'an empty protobuf message': { replies: [{ status: 200, headers: asProtobuf }], requests: 1 },
  202: { replies: [{ status: 202 }], requests: 1 },
  204: { replies: [{ status: 204 }], requests: 1 },
  '429, 503, 502 and 504 before': {
    replies: [
      busy,
      { status: 503, headers: { 'retry-after': 'Wed, 21 Oct 2015 07:28:00 GMT' } },
      { status: 502, headers: { 'retry-after': 'some day' } },
      { status: 504, headers: { 'retry-after': '0' } },
      well,
    ],
    requests: 5,
  },
  'a connection that is cut before': { replies: [null, well], requests: 2 },
  'records rejected, of one crash': {
    replies: [
      { status: 200, headers: asProtobuf, body: rejection },
      well,
      { status: 200, headers: asProtobuf, body: rejection },
    ],
    requests: 3,
    why: /^pstorefs: \S+-panic-2: not taken: it threw 2 of its records away: no\n.* 1 crash waits in /,
  },
  'records rejected, in JSON': {
    replies: [
      {
        status: 200,
        headers: asJson,
        body: '{"partialSuccess":{"rejectedLogRecords":"1","errorMessage":"too old"}}',
      },
    ],
    requests: 3,
    why: /threw 1 of its records away: too old\n.*\n.* 2 crashes wait in /,
  },
  'a page that is no answer': {
    replies: [{ status: 200, headers: { 'content-type': 'text/html' }, body: '<h1>Log in</h1>' }],
    requests: 1,
    why: /logs: 200, and no collector's answer: 2 crashes wait/,
  },
  'JSON that is no answer': {
    replies: [{ status: 200, headers: asJson, body: '[' }],
    requests: 1,
    why: /no collector's answer/,
  },
  'an answer without an end': {
    replies: [{ status: 200, headers: asJson, body: ' '.repeat(2 ** 20) }],
    requests: 1,
    why: /no collector's answer/,
  },
  'a time that is too far away': {
    replies: [{ status: 429, headers: { 'retry-after': '3600' } }],
    requests: 1,
    why: /logs: 429 Too Many Requests: 2 crashes wait in \S+ for the next run\n$/,
  },
  400: {
    replies: [
      { status: 400, headers: asJson, body: '{"code":3,"message":"bad \\u001b[31m data"}' },
    ],
    requests: 3,
    why: /panic-1: not taken: 400 Bad Request: bad .*data\n.*panic-2: not taken/,
  },
  401: { replies: [{ status: 401 }], requests: 1, why: /logs: 401 Unauthorized: 2 crashes wait/ },
  'another protocol': {
    replies: [{ status: 101, headers: { connection: 'upgrade', upgrade: 'websocket' } }],
    requests: 1,
    why: /logs: 101 Switching Protocols: 2 crashes wait/,
  },
  'a redirect': {
    replies: [{ status: 307, headers: { location: 'http://u:hidden@elsewhere/x?key=hidden' } }],
    requests: 1,
    why: /logs: 307: give http:\/\/elsewhere\/x instead: 2 crashes wait/,
  },
  'a redirect within': {
    replies: [{ status: 308, headers: { location: '/otlp/v1/logs?key=hidden' } }],
    requests: 1,
    why: /logs: 308: give http:\/\/127\.0\.0\.1:\d+\/otlp\/v1\/logs instead: 2 crashes wait/,
  },
}

for (const [name, { replies, requests, why }] of Object.entries(answers))
  t.test(`answered by ${name}`, async t => {
    const archive = archiveOf(t, { dumps: ['one\n', 'two\n'] })
    const { url, seen } = await receive(t, replies)
    const { port } = new URL(url)
    const { status, stderr } = await ship([archive, `http://u:hidden@127.0.0.1:${port}`])
    t.equal(seen.length, requests)
    t.equal(status, why ? 1 : 0, stderr)
    t.match(stderr, why ?? /^$/)
    t.notMatch(stderr, 'hidden', 'no secret is said')
    t.notMatch(stderr, '\x1b', 'and nothing drives a terminal')
    t.equal(unsentIn(archive).length, Number(/(\d+) crash(?:es)? waits? in/.exec(stderr)?.[1] ?? 0))
    // Whatever it was, the next run sends it.
    const next = await receive(t, [well])
    t.equal((await ship([archive, next.url])).status, 0)
    t.equal(unsentIn(archive).length, 0)
    t.equal(next.seen.length, why ? 1 : 0)
  })

/** A port where nobody listens. */
const nobodysPort = async (): Promise<number> => {
  const server = net.createServer()
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as net.AddressInfo
  await new Promise(resolve => server.close(resolve))
  return port
}

t.test('nobody there', async t => {
  const archive = archiveOf(t, { dumps: ['one\n', 'two\n'] })
  const url = `http://127.0.0.1:${await nobodysPort()}`
  const { status, stderr } = await ship([archive, url, '--timeout', '1'])
  t.equal(status, 1)
  t.equal(
    stderr,
    `pstorefs: ${url}/v1/logs: connection refused: 2 crashes wait in ${archive} for the next run\n`,
  )
})

t.test('a collector without TLS that is asked with it', async t => {
  const archive = archiveOf(t, { dumps: ['one\n'] })
  const { url, seen } = await receive(t, [well])
  const to = url.replace('http:', 'https:')
  const { status, stderr } = await ship([archive, to])
  t.equal(status, 1)
  t.equal(
    stderr,
    `pstorefs: ${to}/v1/logs: it does not speak TLS; give http:// if it is meant: 1 crash waits in ${archive} for the next run\n`,
  )
  t.equal(seen.length, 0)
})

t.test('a collector that wants to be left alone for longer than a timer counts', async t => {
  const archive = archiveOf(t, { dumps: ['one\n'] })
  const { url, seen } = await receive(t, [{ status: 429, headers: { 'retry-after': '3000000' } }])
  const { child, outcome } = startProgram(['ship', archive, url, '--timeout', '10000000'])
  t.teardown(() => child.kill('SIGKILL'))
  await until(() => seen.length > 0)
  await new Promise(resolve => setTimeout(resolve, 1000))
  child.kill()
  t.equal((await outcome).stderr, '')
  t.equal(seen.length, 1)
})

t.test('somebody who never answers', async t => {
  const archive = archiveOf(t, { dumps: ['one\n'] })
  const port = await serve(t, http.createServer())
  const args = [archive, `http://127.0.0.1:${port}`, '--timeout', '1']
  const { status, stderr } = await ship(args, { OTEL_EXPORTER_OTLP_TIMEOUT: '200' })
  t.equal(status, 1)
  t.match(stderr, /logs: no answer in time: 1 crash waits in/)
})

t.test('headers and gzip', async t => {
  const archive = archiveOf(t, { dumps: [panic] })
  const { url, seen } = await receive(t, [well])
  const env = {
    ...json,
    OTEL_EXPORTER_OTLP_ENDPOINT: url.replace('//', '//user:pass%20word@'),
    OTEL_EXPORTER_OTLP_HEADERS: 'x-scope=a%20b,content-type=none',
    OTEL_EXPORTER_OTLP_COMPRESSION: 'gzip',
  }
  t.match(await ship([archive], env), { status: 0, stderr: '' })
  t.match(seen, [
    {
      headers: {
        'x-scope': 'a b',
        'content-type': 'application/json',
        'content-encoding': 'gzip',
        authorization: `Basic ${Buffer.from('user:pass word').toString('base64')}`,
      },
    },
  ])
  t.equal(recordsOf(seen).length, 1)
})

/** A certificate for 127.0.0.1 and a collector elsewhere, and its key, made by openssl. */
const certificate = (t: Test, name: string): { cert: string; key: string } => {
  const home = folder(t)
  const [cert, key] = [`${home}/${name}.crt`, `${home}/${name}.key`]
  const options =
    `req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=${name} ` +
    `-addext subjectAltName=IP:127.0.0.1,DNS:collector.invalid -keyout ${key} -out ${cert}`
  const { status, stderr } = spawnSync('openssl', options.split(' '))
  t.equal(status, 0, stderr.toString())
  return { cert, key }
}

const noOpenssl = spawnSync('openssl', ['version']).status !== 0 && 'no openssl'

t.test('TLS, with certificates of both sides', { skip: noOpenssl }, async t => {
  const archive = archiveOf(t, { dumps: [panic] })
  const [server, client] = [certificate(t, 'server'), certificate(t, 'client')]
  const { url, seen } = await receive(t, [well], {
    cert: fs.readFileSync(server.cert),
    key: fs.readFileSync(server.key),
    ca: fs.readFileSync(client.cert),
    requestCert: true,
  })
  const stranger = await ship([archive, url])
  t.equal(stranger.status, 1)
  t.match(stranger.stderr, /its certificate is not taken: self-signed certificate: 1 crash waits/)
  const env = {
    OTEL_EXPORTER_OTLP_CERTIFICATE: server.cert,
    OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE: client.cert,
    OTEL_EXPORTER_OTLP_CLIENT_KEY: client.key,
  }
  t.match(await ship([archive, url], env), { status: 0, stderr: '' })
  t.equal(seen.length, 1)
})

/** A proxy that takes what is asked for from 127.0.0.1, whoever was meant, and tells who asks for what. */
const proxy = async (t: Test, status = 200): Promise<{ url: string; asked: string[] }> => {
  const asked: string[] = []
  const ask = ({ method, url, headers }: http.IncomingMessage): void =>
    void asked.push(`${method} ${url} ${headers['proxy-authorization'] ?? ''}`)
  const server = http.createServer((request, response) => {
    ask(request)
    const { port, pathname } = new URL(request.url!)
    const { method } = request
    const { 'proxy-authorization': _, ...headers } = request.headers
    const onward = { port, path: pathname, host: '127.0.0.1', method, headers }
    request.pipe(
      http.request(onward, answer => answer.pipe(response.writeHead(answer.statusCode!))),
    )
  })
  server.on('connect', (request, socket) => {
    ask(request)
    socket.on('error', () => {})
    if (status !== 200) {
      socket.end(`HTTP/1.1 ${status} Proxy Authentication Required\r\n\r\n`)
      return
    }
    const through = net.connect(Number(new URL(`http://${request.url}`).port), '127.0.0.1', () => {
      socket.write('HTTP/1.1 200 OK\r\n\r\n')
      socket.pipe(through).pipe(socket)
    })
    through.on('error', () => socket.destroy())
  })
  return { url: `http://user:word@127.0.0.1:${await serve(t, server)}`, asked }
}

const user = `Basic ${Buffer.from('user:word').toString('base64')}`

t.test('by a proxy', async t => {
  const archive = archiveOf(t, { dumps: ['one\n', 'two\n'] })
  const { url, seen } = await receive(t, [well])
  const collector = url.replace('127.0.0.1', 'collector.invalid')
  const { url: http_proxy, asked } = await proxy(t)
  t.match(await ship([archive, collector], { http_proxy }), { status: 0, stderr: '' })
  t.same(asked, [`POST ${collector}/v1/logs ${user}`])
  t.match(seen, [{ path: '/v1/logs', headers: { 'proxy-authorization': undefined } }])
})

t.test('TLS, by a proxy', { skip: noOpenssl }, async t => {
  const archive = archiveOf(t, { dumps: ['one\n'] })
  const { cert, key } = certificate(t, 'server')
  const tls = { cert: fs.readFileSync(cert), key: fs.readFileSync(key) }
  const { url, seen } = await receive(t, [well], tls)
  const { port } = new URL(url)
  const collector = `https://collector.invalid:${port}`
  const stranger = await proxy(t, 407)
  const send = (https_proxy: string, timeout = '5') =>
    ship([archive, collector, '--timeout', timeout], {
      https_proxy,
      OTEL_EXPORTER_OTLP_CERTIFICATE: cert,
      OTEL_EXPORTER_OTLP_TIMEOUT: '1000',
    })
  const shown = (proxy: string): string => `${collector}/v1/logs (proxy ${proxy}/)`
  const waits = `1 crash waits in ${archive} for the next run`
  t.match(await send(stranger.url), {
    status: 1,
    stderr: `pstorefs: ${shown(stranger.url.replace('user:word@', ''))}: the proxy: 407 Proxy Authentication Required: ${waits}\n`,
  })
  const nobody = http.createServer().on('connect', (_, socket) => socket.on('error', () => {}))
  const silent = `http://127.0.0.1:${await serve(t, nobody)}`
  t.match(await send(silent, '1'), {
    status: 1,
    stderr: `pstorefs: ${shown(silent)}: no answer in time: ${waits}\n`,
  })
  const { url: good, asked } = await proxy(t)
  t.match(await send(good), { status: 0, stderr: '' })
  t.same(asked, [`CONNECT collector.invalid:${port} ${user}`])
  t.equal(seen.length, 1)
})

/** The bytes of each record that was sent, by the record's name: pieces put together again. */
const texts = (sent: readonly Sent[]): { [record: string]: Buffer } => {
  const found: { [record: string]: Buffer } = {}
  for (const { attributes, body } of sent) {
    const bytes =
      body.bytesValue === undefined
        ? Buffer.from(body.stringValue ?? '')
        : Buffer.from(body.bytesValue, 'base64')
    const size = Number(attributes['pstore.part.of'] ?? bytes.length)
    const whole = (found[String(attributes['pstore.record'])] ??= Buffer.alloc(size))
    bytes.copy(whole, Number(attributes['pstore.part.from'] ?? 0))
  }
  return found
}

const long = {
  lines: 'a line of the console – and more\n'.repeat(200_000),
  // Cut at no byte of a letter.
  'no line': '–'.repeat(2_000_001),
}

for (const [name, console] of Object.entries(long))
  t.test(`what is larger than a request goes in pieces: ${name}`, async t => {
    const words = {
      dumps: [panic],
      console,
      pmsg: Buffer.alloc(5 * 2 ** 20, '\xff\x00\n', 'latin1'),
    }
    const archive = archiveOf(t, words)
    const [crash] = unsentIn(archive)
    const { url, seen } = await receive(t, [well])
    t.match(await ship([archive, url], json), { status: 0, stderr: '' })
    for (const { body } of seen) t.ok(body.length <= 2 ** 22, `${body.length} bytes`)
    const sent = recordsOf(seen)
    const found = texts(sent)
    for (const record of [...crash!.dumps, ...crash!.others])
      t.ok(found[record.name]?.equals(fs.readFileSync(`${archive}/${crash!.name}/${record.name}`)))
    const uids = sent.map(({ attributes }) => attributes['log.record.uid'])
    t.equal(new Set(uids).size, uids.length, 'each piece has a uid of its own')
    t.equal(sent.filter(({ eventName }) => eventName).length, 1)
  })

t.test('a collector that takes less', async t => {
  const archive = archiveOf(t, { dumps: ['one\n'.repeat(30_000), 'two\n', 'three\n'] })
  const all = unsentIn(archive)
  const most = 40_000
  const seen: Seen[] = []
  const server = http.createServer((request, response) => {
    const pieces: Buffer[] = []
    request.on('data', (piece: Buffer) => pieces.push(piece))
    request.on('end', () => {
      const body = Buffer.concat(pieces)
      if (body.length <= most) seen.push({ path: '', headers: {}, body })
      response.writeHead(body.length <= most ? 200 : 413).end()
    })
  })
  const url = `http://127.0.0.1:${await serve(t, server)}`
  t.match(await ship([archive, url], json), { status: 0, stderr: '' })
  const found = recordsOf(seen)
  t.equal(found.filter(({ eventName }) => eventName).length, all.length)
  for (const { name, dumps } of all) {
    const record = dumps[0]!.name
    const one = texts(found.filter(({ attributes }) => attributes['crash.folder'] === name))
    t.ok(one[record]?.equals(fs.readFileSync(`${archive}/${name}/${record}`)), record)
  }
})

t.test('a collector that takes nothing, however small', async t => {
  const archive = archiveOf(t, { dumps: ['one\n'.repeat(30_000), 'two\n'] })
  const { url } = await receive(t, [{ status: 413 }])
  const { status, stderr } = await ship([archive, url])
  t.equal(status, 1)
  t.match(stderr, /panic-1: not taken: the collector takes no request of \d+ bytes\n/)
  t.match(stderr, /2 crashes wait in/)
})

t.test('--redact', async t => {
  const named = `${thisHost().name} at 52:54:00:12:34:56 and 10.0.0.1\n`
  const words = {
    dumps: [`${named}[    1.0] BUG: hello from 10.0.0.1\n${panic}`],
    console: 'Kernel command line: token=secret\n',
  }
  const archive = archiveOf(t, words)
  const { url, seen } = await receive(t, [well])
  const plain = await receive(t, [well])
  const env = { ...json, OTEL_RESOURCE_ATTRIBUTES: `node=${thisHost().name}` }
  t.match(await ship([archive, url, '--redact'], env), { status: 0, stderr: '' })
  t.notMatch(String(seen[0]!.body), /52:54|10\.0\.0\.1|secret/)
  const sent = recordsOf(seen)
  t.match(sent[0]!.body.stringValue, '<host> at <mac> and <ip>\n')
  t.match(sent[1]!.body.stringValue, 'token=…\n')
  t.equal(sent[0]!.resource['pstorefs.host.name'], undefined)
  t.equal(sent[0]!.resource.node, '<host>')
  fs.rmSync(`${archive}/${crashIn(archive)}/.sent-otlp`)
  await ship([archive, plain.url], json)
  const uids = (of: Sent[]) => of.map(({ attributes }) => attributes['log.record.uid'])
  t.same(uids(recordsOf(plain.seen)), uids(sent), 'a record has its uid, redacted or not')
})

t.test('--redact of a backend that has the name of its guest', async t => {
  const home = folder(t)
  const sizes = { record_size: '8K', console_size: '4K', pmsg_size: '4K', ftrace_size: '0' }
  const options = Object.entries(sizes).flatMap(([name, size]) => [`--${name}`, size])
  const said = Buffer.from(`systemd[1]: Hostname set to <web7>.\n${panic}`)
  const region = `${home}/guest.img`
  t.equal(pstorefs(['format', region, '--mem-size', '64K', ...options]).status, 0)
  t.equal(pstorefs(['write', 'dmesg', region, ...options], said).status, 0)
  const lines = Object.entries(sizes).map(([name, size]) => `${name} = "${size}"\n`)
  const config = `${home}/guests.toml`
  fs.writeFileSync(config, `[backends.web7]\nsource = "guest.img"\n${lines.join('')}`)
  const archive = `${home}/crashes`
  t.match(pstorefs(['archive', '--config', config, '--all-backends', archive]), { status: 0 })
  const { url, seen } = await receive(t, [well])
  t.match(await ship([archive, url, '--redact'], json), { status: 0, stderr: '' })
  t.match(recordsOf(seen)[0]!.attributes, {
    'crash.folder': /Z-<host>-panic-1$/,
    'pstore.backend': '<host>',
    'pstore.record': 'dmesg-<host>-0',
  })
  t.notMatch(String(seen[0]!.body), 'web7')
})

t.test('archive --otlp sends what it has made, and what was left', async t => {
  const archive = archiveOf(t, { dumps: ['one\n'] })
  const region = path.join(path.dirname(archive), 'region.img')
  const sizes = '--record-size 8K --console-size 4K --pmsg-size 4K --ftrace-size 0'.split(' ')
  t.equal(pstorefs(['write', 'dmesg', region, ...sizes], Buffer.from('two\n')).status, 0)
  const { url, seen } = await receive(t, [well])
  const args = ['archive', region, archive, '--otlp', url, ...sizes]
  t.match(await startProgram(args, json).outcome, { status: 0, stderr: '' })
  t.same(
    recordsOf(seen).map(({ body }) => body.stringValue?.split('\n')[1]),
    ['one', 'two'],
  )
  t.equal(unsentIn(archive).length, 0)
})

t.test('a record that the archive lost', async t => {
  const archive = archiveOf(t, { dumps: ['one\n', 'two\n'] })
  const [first] = unsentIn(archive)
  fs.rmSync(`${archive}/${first!.name}/${first!.dumps[0]!.name}`)
  const { url, seen } = await receive(t, [well])
  const { status, stderr } = await ship([archive, url])
  t.equal(status, 1)
  t.equal(seen.length, 1, 'the other crash goes')
  t.match(stderr, /panic-1: not taken: .*no such file\n.*did not take all: 1 crash waits/)
  t.same(
    unsentIn(archive).map(({ name }) => name),
    [first!.name],
  )
})

t.test('a crash that is pruned while it is on its way', async t => {
  const archive = archiveOf(t, { dumps: ['one\n', 'two\n'] })
  const [first] = unsentIn(archive)
  const server = http.createServer((request, response) => {
    request.resume().on('end', () => {
      fs.rmSync(`${archive}/${first!.name}`, { recursive: true })
      response.end()
    })
  })
  const { status, stderr } = await ship([archive, `http://127.0.0.1:${await serve(t, server)}`])
  t.match({ status, stderr }, { status: 0, stderr: '' })
  t.equal(unsentIn(archive).length, 0)
})

const asRoot = process.getuid?.() === 0 ? false : 'mounts in a namespace need root'

t.test('a disk that takes no mark', { skip: asRoot }, async t => {
  const archive = archiveOf(t, { dumps: ['one\n', 'two\n'] })
  const { url, seen } = await receive(t, [{ status: 413 }, well])
  fs.writeFileSync(`${archive}/.sends-otlp`, '')
  const script = 'mount -B "$1" "$1" && mount -o remount,bind,ro "$1" && shift && exec "$@"'
  const args = ['-m', 'sh', '-c', script, 'sh', archive, process.execPath, program]
  const { status, stderr } = await startProgram(['ship', archive, url], {}, ['unshare', ...args])
    .outcome
  t.equal(status, 1)
  const mark = `${archive}/${unsentIn(archive)[0]!.name}/.sent-otlp`
  t.equal(
    stderr,
    `pstorefs: ${url}/v1/logs: ${mark}: read-only file system: 2 crashes wait in ${archive} for the next run\n`,
  )
  t.equal(seen.length, 2, 'no other is sent that could not be marked either')
})

t.test('wrong usage, and no archive', async t => {
  t.match(pstorefs(['ship']), { status: 2, stderr: /DIR is missing, e\.g\. pstorefs ship crashes/ })
  t.match(pstorefs(['ship', 'x', '--timeout', 'soon']), { status: 2, stderr: /--timeout: give/ })
  t.match(pstorefs(['ship', '/nowhere']), { status: 1, stderr: /nowhere: no such file/ })
  for (const fill of [
    (at: string) => fs.writeFileSync(`${at}/dmesg-ramoops-0`, panic),
    // A folder of archives.
    (at: string) => fs.mkdirSync(`${at}/guests`),
  ]) {
    const at = folder(t)
    fill(at)
    const before = fs.readdirSync(at)
    t.match(pstorefs(['ship', at, 'http://127.0.0.1:1']), {
      status: 1,
      stdout: Buffer.alloc(0),
      stderr: /: is no archive: what is in it is no crash's folder; .*`pstorefs archive --keep`/,
    })
    t.same(fs.readdirSync(at), before, 'and nothing is noted there')
  }
  const disk = folder(t)
  fs.mkdirSync(`${disk}/lost+found`)
  t.match(pstorefs(['ship', disk, 'http://127.0.0.1:1']), {
    status: 0,
    stdout: Buffer.from(`${disk}: no crash is in it\n`),
  })
  t.match(pstorefs(['ship', folder(t), 'ftp://x']), { status: 1, stderr: /URL: give a URL/ })
})
