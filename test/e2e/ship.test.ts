/**
 * Crashes and a real collector: it takes what is sent, in each form; and whatever is killed, refused or cut on the
 * way, each record arrives.
 */
import fs from 'node:fs'
import http from 'node:http'
import path from 'node:path'
import t, { type Test } from 'tap'
import { until } from '../program.js'
import { randomFor, type Random } from '../random.js'
import { archiveOf, changeManifests, unsentIn } from '../ship/archives.js'
import { bodyOf, serve, ship, startProgram, type Environment } from '../ship/receiver.js'
import { RealCollector, skipWithoutCollector as skip } from './collector.js'

const forms: { readonly [form: string]: Environment } = {
  protobuf: {},
  'protobuf, gzip': { OTEL_EXPORTER_OTLP_COMPRESSION: 'gzip' },
  json: { OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json' },
  'json, gzip': {
    OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json',
    OTEL_EXPORTER_OTLP_COMPRESSION: 'gzip',
  },
}

for (const [form, env] of Object.entries(forms))
  t.test(`a collector takes ${form}`, { skip }, async t => {
    const collector = await RealCollector.start(t)
    const noUtf8 = Buffer.from([0x68, 0x69, 0xff])
    const archive = archiveOf(t, {
      dumps: ['<0>[   12.000000] Kernel panic - not syncing: why – é\n'],
      console: noUtf8,
    })
    const [crash] = unsentIn(archive)
    t.match(await ship([archive, collector.url], env), { status: 0, stderr: '' })
    const printed = (): string => collector.printed()
    t.ok(await until(() => printed().includes(crash!.others[0]!.uid)))
    for (const part of [
      'Timestamp: 2023-11-14 22:13:20 +0000 UTC\nSeverityText: FATAL\nSeverityNumber: Fatal(21)\n',
      'EventName: linux.kernel.crash\nBody: Str(Panic#1 Part1\n<0>[   12.000000] Kernel panic - not syncing: why – é\n)\n',
      `-> log.record.uid: Str(${crash!.uid})\n     -> crash.id: Str(${crash!.uid})\n`,
      '-> crash.title: Str(kernel panic: why – é)\n',
      `Body: Bytes(${noUtf8.toString('base64')})\n`,
    ])
      t.ok(printed().includes(part), part)
    t.equal(unsentIn(archive).length, 0)
  })

t.test('what is too much for a collector is sent in less', { skip }, async t => {
  const collector = await RealCollector.start(t)
  await collector.kill()
  const config = path.join(collector.home, 'conf.yaml')
  const limited = fs
    .readFileSync(config, 'utf8')
    .replace(/(:\d+)\}/, '$1, max_request_body_size: 50000}')
  fs.writeFileSync(config, limited)
  t.ok(await collector.restart())
  const archive = archiveOf(t, { dumps: ['short\n', 'some of many lines\n'.repeat(10_000)] })
  t.match(await ship([archive, collector.url]), { status: 0, stderr: '' })
  t.equal(unsentIn(archive).length, 0)
  const lines = (): number => collector.printed().split('\nsome of many lines').length
  t.ok(await until(() => lines() >= 9_990), `${lines()}`)
})

/** How often what happens in the long test. */
const archives = 50
const crashesOfEach = 20
const senderKills = 20
const collectorKills = 5

/** What stands between senders and the collector. */
interface Way {
  /** All requests so far. */
  requests: number
  /** What has happened, by name. */
  readonly happened: Map<string, number>
  readonly url: string
}

/** ExportLogsServiceResponse, protobuf: so many records rejected. */
const rejecting = (count: number): Buffer => Buffer.from([0x0a, 0x02, 0x08, count])

/**
 * A way to the collector on which requests are refused, cut before or after they have arrived, and senders and the
 * collector are killed. Of each sender it knows the process by a header.
 */
const wayTo = async (
  t: Test,
  collector: RealCollector,
  random: Random,
  senders: ReadonlyMap<string, { kill(): void }>,
): Promise<Way> => {
  const happened = new Map<string, number>()
  const count = (what: string): number => {
    const n = (happened.get(what) ?? 0) + 1
    happened.set(what, n)
    return n
  }
  const forward = async (request: http.IncomingMessage, body: Buffer) => {
    const answer = await fetch(`${collector.url}${request.url}`, {
      method: 'POST',
      headers: { 'content-type': request.headers['content-type'] ?? '' },
      body: new Uint8Array(body),
    })
    return {
      status: answer.status,
      type: answer.headers.get('content-type') ?? '',
      body: Buffer.from(await answer.arrayBuffer()),
    }
  }
  let restarting: Promise<unknown> = Promise.resolve()
  const handle = async (
    request: http.IncomingMessage,
    response: http.ServerResponse,
  ): Promise<void> => {
    const body = await bodyOf(request)
    const n = ++way.requests
    const sender = senders.get(String(request.headers['x-sender']))
    const isOften = (what: string, most: number): boolean => (happened.get(what) ?? 0) < most
    const refuse = (status: number): void => {
      count(`${status}`)
      response.writeHead(status, { 'retry-after': '0' }).end()
    }
    // The collector dies while a request is on its way to it, or between two.
    if (n % 20 === 10 && isOften('collector killed', collectorKills)) {
      count('collector killed')
      const killed = collector.kill().then(() => collector.restart())
      restarting = killed.then(isReady => t.ok(isReady, 'the collector is there again'))
    }
    const dice = random.below(10)
    if (dice === 0) return refuse(429)
    if (dice === 1) return refuse(503)
    if (dice === 2) {
      count('rejected')
      response.writeHead(200, { 'content-type': 'application/x-protobuf' }).end(rejecting(1))
      return
    }
    if (dice === 3) {
      count('cut before')
      request.socket.destroy()
      return
    }
    const kills = sender && isOften('sender killed', senderKills) && random.below(2) === 0
    if (kills && random.below(3) === 0) sender.kill()
    const answer = await forward(request, body).catch(() => null)
    if (!answer) {
      await restarting
      return refuse(502)
    }
    if (dice === 4) {
      count('cut after')
      request.socket.destroy()
      return
    }
    response.writeHead(answer.status, { 'content-type': answer.type }).end(answer.body)
    // While it marks what has arrived.
    if (kills) setTimeout(() => sender.kill(), random.below(10))
  }
  const server = http.createServer((request, response) => {
    handle(request, response).catch((error: unknown) => t.fail(String(error)))
  })
  const way: Way = {
    requests: 0,
    happened,
    url: `http://127.0.0.1:${await serve(t, server)}`,
  }
  t.teardown(() => restarting)
  return way
}

t.test(
  '1,000 crashes from 50 archives, with all that can happen on the way',
  { skip, timeout: 1_200_000 },
  async t => {
    const random = randomFor(t)
    const collector = await RealCollector.start(t)
    const made = Array.from({ length: archives }, (_, n) => {
      const dumps = Array.from(
        { length: crashesOfEach },
        // The same words on every other host.
        (_, i) => `<0>[   ${i}.000000] Kernel panic - not syncing: why ${i} of ${n % 2 ? n : 0}\n`,
      )
      const archive = archiveOf(t, { dumps, console: `console of ${n}\n` })
      const host = { name: `host${n}`, id: n.toString(16).padStart(32, '0') }
      changeManifests(archive, manifest => ({ ...manifest, source: '/dev/pmem0', host }))
      return archive
    })
    /** What has to arrive: each record's uid, and what it is of. */
    const expected = new Map(
      made.flatMap(archive =>
        unsentIn(archive).flatMap(({ host, name, dumps, others }) =>
          [...dumps, ...others].map(({ uid, name: record, sha256 }) => [
            uid,
            [host.name, name, record, sha256].join(' '),
          ]),
        ),
      ),
    )
    t.equal(expected.size, archives * crashesOfEach + archives, 'no two have the same uid')

    const senders = new Map<string, { kill(): void }>()
    const way = await wayTo(t, collector, random, senders)
    const waiting = [...made]
    let runs = 0
    let killed = 0
    const work = async (): Promise<void> => {
      for (let archive; (archive = waiting.shift()) !== undefined;) {
        const id = `${runs++}`
        const { child, outcome } = startProgram(['ship', archive, way.url, '--timeout', '10'], {
          OTEL_EXPORTER_OTLP_HEADERS: `x-sender=${id}`,
        })
        senders.set(id, { kill: () => void child.kill('SIGKILL') })
        const { status, stderr } = await outcome
        senders.delete(id)
        if (status === null) way.happened.set('sender killed', ++killed)
        if (status === 0) t.equal(unsentIn(archive).length, 0)
        else {
          t.ok(status === 1 || status === null, stderr)
          waiting.push(archive)
        }
      }
    }
    await Promise.all([work(), work()])
    t.comment(`${runs} runs, ${way.requests} requests, ${JSON.stringify([...way.happened])}`)
    t.ok(killed >= senderKills, `${killed} senders are killed`)
    t.equal(way.happened.get('collector killed'), collectorKills)
    for (const what of ['429', '503', 'rejected', 'cut before', 'cut after'])
      t.ok(way.happened.has(what), what)

    const attribute = (name: string, of: string): string =>
      new RegExp(`^ +-> ${name}: Str\\((.*)\\)$`, 'm').exec(of)?.[1] ?? ''
    const arrived = new Map<string, Set<string>>()
    for (const resource of collector
      .printed()
      .split(/^Resource SchemaURL:/m)
      .slice(1)) {
      const [head = '', ...records] = resource.split(/^LogRecord #\d+$/m)
      for (const record of records) {
        const uid = attribute('log\\.record\\.uid', record)
        const of = ['crash\\.folder', 'pstore\\.record', 'pstore\\.sha256']
        const facts = [attribute('host\\.name', head), ...of.map(name => attribute(name, record))]
        const known = arrived.get(uid) ?? new Set()
        arrived.set(uid, known.add(facts.join(' ')))
      }
    }
    const lost = [...expected.keys()].filter(uid => !arrived.has(uid))
    t.same(lost, [], 'each uid has arrived')
    const wrong = [...arrived].filter(
      ([uid, facts]) => facts.size !== 1 || !facts.has(expected.get(uid) ?? ''),
    )
    t.same(wrong, [], 'and is of one record, whenever it came')
  },
)
