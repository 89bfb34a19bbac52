/**
 * One request to a collector, and what its answer means.
 *
 * Source: opentelemetry.io/docs/specs/otlp, OTLP/HTTP. By node:http and node:https, since fetch takes no certificates
 * and follows redirects with all headers.
 */
import http from 'node:http'
import https from 'node:https'
import { promisify } from 'node:util'
import zlib from 'node:zlib'
import { decodeAnswer } from './form.js'
import { NoTunnel, wayTo, type Way } from './proxy.js'
import { shownUrl, type Settings } from './settings.js'

/**
 * - `taken`: all of it
 * - `rejected`: the collector took the request and threw records away, or refused it for what it holds
 * - `too large`
 * - `later`: it may take it later; `after` says when, in ms, where the collector does
 * - `refused`: it takes none like it
 */
export type Answer =
  | { readonly kind: 'taken' }
  | { readonly kind: 'too large' }
  | { readonly kind: 'rejected'; readonly why: string }
  | { readonly kind: 'refused'; readonly why: string }
  | { readonly kind: 'later'; readonly why: string; readonly after: number | null }

/** What is read of an answer: bytes of what a collector says, and characters of that in a message. */
const longestAnswer = 65536
const longestReason = 200

/** Statuses that a later try may mend. */
const passing = new Set([429, 502, 503, 504])
/** Statuses that are about what a request holds. */
const aboutContent = new Set([400, 422])
const tooLarge = 413
/** How the collector itself says so: `400`, `http: request body too large`. */
const saysTooLarge = /too large|larger than/i

/** What TLS says of a certificate that it does not take. */
const untrusted = /CERT|SELF_SIGNED|ALTNAME|UNABLE_TO_|^ERR_(?:SSL|TLS|OSSL)/

const gzip = promisify<Uint8Array, Buffer>(zlib.gzip)

interface Reply {
  readonly status: number
  readonly said: string
  readonly headers: http.IncomingHttpHeaders
  readonly body: Buffer
  /** Whether there was more than is read. */
  readonly isCut: boolean
}

const replyOf = (
  { statusCode = 0, statusMessage = '', headers }: http.IncomingMessage,
  body = Buffer.alloc(0),
  isCut = false,
): Reply => ({ status: statusCode, said: statusMessage, headers, body, isCut })

/** When a collector wants to be asked again, in ms: in seconds or as a date (RFC 9110 10.2.3). */
const retryAfter = (header: string | undefined): number | null => {
  const text = header?.trim() ?? ''
  if (/^\d{1,9}$/.test(text)) return Number(text) * 1000
  const date = Date.parse(text)
  return Number.isNaN(date) ? null : Math.max(0, date - Date.now())
}

/** What a status's body says: the text in it, be it protobuf, JSON or HTML. */
const reasonIn = (body: Buffer): string => {
  const text = body.toString('latin1').replaceAll(/<[^>]*>/g, ' ')
  const message = /"message"\s*:\s*"([^"]*)"/.exec(text)?.[1]
  const longest = (text.match(/[\x20-\x7e]{4,}/g) ?? []).reduce(
    (a, b) => (b.length > a.length ? b : a),
    '',
  )
  return (message ?? longest).trim().slice(0, longestReason)
}

const describe = ({ status, said, body }: Reply): string =>
  [`${status}${said && ` ${said}`}`, reasonIn(body)].filter(Boolean).join(': ')

/** @param asked what was asked, to which a redirect may be relative */
const answerOf = async (reply: Reply, asked: URL): Promise<Answer> => {
  const { status, headers, body, isCut } = reply
  if (status >= 200 && status < 300) {
    const type = (headers['content-type'] ?? '').split(';')[0]!.trim().toLowerCase()
    const rejection = isCut ? null : await decodeAnswer(body, type)
    if (!rejection) return { kind: 'refused', why: `${status}, and no collector's answer` }
    if (rejection.count === 0) return { kind: 'taken' }
    const why = rejection.why.slice(0, longestReason)
    return { kind: 'rejected', why: `it threw ${rejection.count} of its records away: ${why}` }
  }
  const why = describe(reply)
  if (status === tooLarge || (aboutContent.has(status) && saysTooLarge.test(why)))
    return { kind: 'too large' }
  if (passing.has(status)) return { kind: 'later', why, after: retryAfter(headers['retry-after']) }
  const { location } = headers
  if (status >= 300 && status < 400 && location !== undefined && URL.canParse(location, asked.href))
    return { kind: 'refused', why: `${status}: give ${shownUrl(new URL(location, asked))} instead` }
  return { kind: aboutContent.has(status) ? 'rejected' : 'refused', why }
}

/** What TLS says where the other side answers in another language, as HTTP. */
const noTls = /wrong version number|packet length too long/

/** Why there was no answer. */
const answerTo = (error: NodeJS.ErrnoException): Answer => {
  if (error instanceof NoTunnel && !passing.has(error.status))
    return { kind: 'refused', why: error.message }
  const { name, code = '', message } = error
  if (name === 'AbortError' || name === 'TimeoutError')
    return { kind: 'later', why: 'no answer in time', after: null }
  if (noTls.test(message))
    return { kind: 'refused', why: 'it does not speak TLS; give http:// if it is meant' }
  const why =
    code === 'ECONNREFUSED'
      ? 'connection refused'
      : code === 'ENOTFOUND'
        ? 'no such host'
        : // Of several addresses each has its own; none of them is said.
          message || code
  return untrusted.test(code)
    ? { kind: 'refused', why: `its certificate is not taken: ${why}` }
    : { kind: 'later', why, after: null }
}

export class Collector {
  readonly #way: Way
  readonly #headers: http.OutgoingHttpHeaders

  constructor(
    readonly settings: Settings,
    contentType: string,
  ) {
    const { url, proxy, tls, isGzip, headers, timeout } = settings
    this.#way = wayTo(url, proxy, tls, timeout)
    this.#headers = {
      'user-agent': 'pstorefs',
      ...headers,
      'content-type': contentType,
      ...(isGzip && { 'content-encoding': 'gzip' }),
      ...this.#way.headers,
    }
  }

  /** Send a request once. Nothing that a collector or the way to it does makes it throw. */
  async post(bytes: Uint8Array): Promise<Answer> {
    const body = this.settings.isGzip ? await gzip(bytes) : bytes
    let reply: Reply
    try {
      reply = await this.#request(body)
    } catch (error) {
      return answerTo(error as NodeJS.ErrnoException)
    }
    return answerOf(reply, this.settings.url)
  }

  #request(body: Uint8Array): Promise<Reply> {
    const { timeout } = this.settings
    const { server, options, agent } = this.#way
    return new Promise((resolve, reject) => {
      const request = (server.protocol === 'https:' ? https : http).request(server, {
        ...options,
        method: 'POST',
        agent,
        headers: { ...this.#headers, 'content-length': body.length },
        signal: AbortSignal.timeout(timeout),
      })
      request.on('error', reject)
      request.on('response', response => {
        const pieces: Buffer[] = []
        let length = 0
        const finish = (isCut: boolean): void =>
          resolve(replyOf(response, Buffer.concat(pieces), isCut))
        response.on('data', (piece: Buffer) => {
          pieces.push(piece)
          length += piece.length
          if (length <= longestAnswer) return
          finish(true)
          response.destroy()
        })
        response.on('end', () => finish(false))
        response.on('error', reject)
      })
      // 101, which nobody asked for: Node then ends the connection, and tells of it by no other event.
      request.on('upgrade', (response, socket) => {
        socket.destroy()
        resolve(replyOf(response))
      })
      request.end(body)
    })
  }

  close(): void {
    this.#way.agent.destroy()
  }
}
