/**
 * A real OpenTelemetry Collector, which prints what it is sent. It comes from ../shared (../shared.ts), or is what
 * scripts/collector made.
 */
import '../environment.js'
import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import crypto from 'node:crypto'
import fs from 'node:fs'
import net, { type AddressInfo } from 'node:net'
import os from 'node:os'
import path from 'node:path'
import type { Test } from 'tap'
import { folder, until } from '../program.js'
import { shared, skipWithoutShared } from '../shared.js'

const project = path.resolve(import.meta.dirname, '../..')

/** What scripts/collector made, or makes. */
const built = (): string => {
  const script = fs.readFileSync(path.join(project, 'scripts/collector'))
  const hash = crypto.createHash('sha256').update(script).digest('hex').slice(0, 16)
  const caches = process.env.XDG_CACHE_HOME ?? path.join(os.homedir(), '.cache')
  const cache = process.env.PSTOREFS_COLLECTOR_DIR ?? path.join(caches, 'pstorefs/collector')
  return path.join(cache, hash, 'otelcol')
}

const packed = 'collector/otelcol-amd64.xz'
const isShared = process.arch === 'x64' && skipWithoutShared(packed) === false

/** Why a test that needs a collector is skipped; false where there is one. */
export const skipWithoutCollector: string | false =
  isShared || fs.existsSync(built())
    ? false
    : `NO COLLECTOR, so nothing shows that one takes what is sent: run scripts/collector (no ${packed} in ../shared either)`

/** The program, unpacked for a test where it has to be. */
const programFor = (t: Test): string => {
  if (!isShared) return built()
  const made = path.join(folder(t), 'otelcol')
  const fd = fs.openSync(made, 'wx', 0o755)
  const { status } = spawnSync('xz', ['-dc', shared(packed)], { stdio: ['ignore', fd, 'inherit'] })
  fs.closeSync(fd)
  if (status !== 0) throw new Error(`${packed} cannot be unpacked`)
  return made
}

/** A port that was nobody's a moment ago. */
const freePort = async (): Promise<number> => {
  const server = net.createServer()
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  await new Promise(resolve => server.close(resolve))
  return port
}

/** A configuration in which all that comes is printed. */
const plain = (port: number): string => `
receivers: {otlp: {protocols: {http: {endpoint: 127.0.0.1:${port}}}}}
exporters: {debug: {verbosity: detailed}}
service:
  telemetry: {metrics: {level: none}}
  pipelines: {logs: {receivers: [otlp], exporters: [debug]}}
`

/** A collector that can be killed and started again, on the same port, and prints to the same file. */
export class RealCollector {
  #child: ChildProcess | null = null

  private constructor(
    readonly program: string,
    readonly home: string,
    readonly port: number,
  ) {}

  /** @param config of a port; it has no telemetry of its own, which would take another */
  static async start(t: Test, config = plain): Promise<RealCollector> {
    const program = programFor(t)
    for (let tries = 1; ; tries++) {
      const collector = new RealCollector(program, folder(t), await freePort())
      t.teardown(() => collector.kill())
      fs.writeFileSync(path.join(collector.home, 'conf.yaml'), config(collector.port))
      if (await collector.restart()) return collector
      // Somebody else was quicker to take the port.
      if (tries === 5) throw new Error(`no collector: ${collector.printed()}`)
    }
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`
  }

  printed(): string {
    return fs.readFileSync(path.join(this.home, 'printed'), 'utf8')
  }

  /** Start it, once more perhaps; whether it is ready. */
  async restart(): Promise<boolean> {
    const ready = 'Everything is ready'
    const file = path.join(this.home, 'printed')
    const before = fs.existsSync(file) ? this.printed().split(ready).length : 1
    const fd = fs.openSync(file, 'a')
    const config = path.join(this.home, 'conf.yaml')
    const child = spawn(this.program, ['--config', config], { stdio: ['ignore', fd, fd] })
    fs.closeSync(fd)
    this.#child = child
    const isReady = (): boolean => this.printed().split(ready).length > before
    await until(() => isReady() || child.exitCode !== null)
    return isReady()
  }

  /** SIGKILL; it has ended when this is done. */
  async kill(): Promise<void> {
    const child = this.#child
    if (!child || child.exitCode !== null || child.signalCode !== null) return
    const ended = new Promise(resolve => child.on('exit', resolve))
    child.kill('SIGKILL')
    await ended
  }
}
