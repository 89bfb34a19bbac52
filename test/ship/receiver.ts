/** Whoever takes OTLP's logs in a test, and answers as the test says; and `ship`, run beside it. */
import '../environment.js'
import { spawn, type ChildProcess } from 'node:child_process'
import http from 'node:http'
import https from 'node:https'
import type { AddressInfo } from 'node:net'
import zlib from 'node:zlib'
import type { Test } from 'tap'
import { program, type Outcome } from '../program.js'

/** An answer; null: the connection is cut. */
export type Reply = {
  readonly status: number
  readonly headers?: http.OutgoingHttpHeaders
  readonly body?: string | Buffer
} | null

export interface Seen {
  readonly path: string
  readonly headers: http.IncomingHttpHeaders
  /** Unpacked. */
  readonly body: Buffer
}

export const bodyOf = async (request: http.IncomingMessage): Promise<Buffer> => {
  const pieces: Buffer[] = []
  for await (const piece of request) pieces.push(piece as Buffer)
  return Buffer.concat(pieces)
}

/** A server on a port of its own. */
export const serve = async (t: Test, server: http.Server): Promise<number> => {
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  return (server.address() as AddressInfo).port
}

/**
 * A receiver that answers each request with the next reply, and those after the last with that.
 *
 * @param tls what makes it speak HTTPS
 */
export const receive = async (
  t: Test,
  replies: readonly [Reply, ...Reply[]],
  tls?: https.ServerOptions,
): Promise<{ url: string; seen: Seen[] }> => {
  const seen: Seen[] = []
  const answer = async (
    request: http.IncomingMessage,
    response: http.ServerResponse,
  ): Promise<void> => {
    const packed = await bodyOf(request)
    const isPacked = request.headers['content-encoding'] === 'gzip'
    const body = isPacked ? zlib.gunzipSync(packed) : packed
    const reply = replies[Math.min(seen.length, replies.length - 1)]!
    seen.push({ path: request.url ?? '', headers: request.headers, body })
    if (!reply) {
      request.socket.destroy()
      return
    }
    response.writeHead(reply.status, reply.headers)
    response.end(reply.body)
  }
  const listener: http.RequestListener = (request, response) =>
    void answer(request, response).catch((error: unknown) => t.fail(String(error)))
  const server = tls ? https.createServer(tls, listener) : http.createServer(listener)
  const port = await serve(t, server as http.Server)
  return { url: `${tls ? 'https' : 'http'}://127.0.0.1:${port}`, seen }
}

export interface Environment {
  readonly [name: string]: string
}

/**
 * Start `pstorefs ARGS…`; what it prints comes when it has ended.
 *
 * @param command what runs it
 */
export const startProgram = (
  args: readonly string[],
  env: Environment = {},
  command: readonly [string, ...string[]] = [process.execPath, program],
): { child: ChildProcess; outcome: Promise<Outcome> } => {
  const child = spawn(command[0], [...command.slice(1), ...args], {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const said: { stdout: Buffer[]; stderr: Buffer[] } = { stdout: [], stderr: [] }
  child.stdout.on('data', (piece: Buffer) => said.stdout.push(piece))
  child.stderr.on('data', (piece: Buffer) => said.stderr.push(piece))
  const outcome = new Promise<Outcome>((resolve, reject) => {
    child.on('error', reject)
    child.on('close', status =>
      resolve({
        status,
        stdout: Buffer.concat(said.stdout),
        stderr: Buffer.concat(said.stderr).toString(),
      }),
    )
  })
  return { child, outcome }
}

/** Run `pstorefs ship ARGS…` to its end, while this process goes on. */
export const ship = (args: readonly string[], env?: Environment): Promise<Outcome> =>
  startProgram(['ship', ...args], env).outcome
