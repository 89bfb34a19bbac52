/**
 * The proxy on the way to a collector, as http_proxy, https_proxy, all_proxy and no_proxy say, in small letters or large
 * ones: curl(1) has them so. This machine is reached without one, as by programs in Go, the OpenTelemetry Collector
 * among them.
 *
 * By node:http: https-proxy-agent (8.0.0, 9.1.0) leaves the connection open on which a proxy never answers, and ship then
 * never ends.
 */
import http from 'node:http'
import https from 'node:https'
import type { Duplex } from 'node:stream'
import tls from 'node:tls'
import { StoreError } from '../../pstore/errors.js'
import { find, parseUrl, type Environment } from './variables.js'

const ownHost = /^(?:(?:.*\.)?localhost|127(?:\.\d+){3}|\[::1\])$/

const bothCases = (name: string): string[] => [name, name.toUpperCase()]

const portOf = ({ port, protocol }: URL): string => port || (protocol === 'https:' ? '443' : '80')

const withoutBrackets = (host: string): string => host.replace(/^\[(.*)\]$/, '$1')

/**
 * Does a word of no_proxy mean a host? It is `*`, or a name that all below it have, too, or an address, and maybe a port
 * behind it, before which IPv6 has brackets.
 */
const isMeant = (url: URL, word: string): boolean => {
  const [, host = word, port = portOf(url)] = /^([^:]+|\[.*\]):(\d+)$/.exec(word) ?? []
  const name = withoutBrackets(host).replace(/^\*?\./, '')
  const hostname = withoutBrackets(url.hostname)
  const isIn = name !== '' && (hostname === name || hostname.endsWith(`.${name}`))
  return port === portOf(url) && (name === '*' || isIn)
}

/**
 * The proxy for a URL; null: none.
 *
 * @throws StoreError where a variable says none that can be used
 */
export const proxyOf = (url: URL, env: Environment): URL | null => {
  const variable = find(env, [`${url.protocol.slice(0, -1)}_proxy`, 'all_proxy'].flatMap(bothCases))
  if (!variable || ownHost.test(url.hostname)) return null
  const exempt = find(env, bothCases('no_proxy'))
    ?.value.toLowerCase()
    .split(/[\s,]+/)
  if (exempt?.some(word => isMeant(url, word))) return null
  const { name, value } = variable
  const proxy = parseUrl(
    value.includes('://') ? value : `http://${value}`,
    name,
    'http://proxy:3128',
  )
  if (proxy.protocol !== 'http:') throw new StoreError(`${name}: only http:// is known here`)
  return proxy
}

/** A URL's user and password, as HTTP's Basic has them (RFC 7617); null where it has none. */
const userOf = ({ username, password }: URL): string | null =>
  username || password ? decodeURIComponent(`${username}:${password}`) : null

/** What a request to a proxy has more. */
const headersFor = (proxy: URL): http.OutgoingHttpHeaders => {
  const user = userOf(proxy)
  return user === null
    ? {}
    : { 'proxy-authorization': `Basic ${Buffer.from(user).toString('base64')}` }
}

/** A proxy makes no tunnel. */
export class NoTunnel extends Error {
  override name = 'NoTunnel'
  constructor(
    readonly status: number,
    said: string,
  ) {
    super(`the proxy: ${status}${said && ` ${said}`}`)
  }
}

/** Connections to a URL's host by TLS, in tunnels that a proxy makes (RFC 9110 9.3.6). */
class TunnelAgent extends https.Agent {
  /** @param patience how long the proxy may take for one, in ms */
  constructor(
    readonly proxy: URL,
    readonly url: URL,
    readonly patience: number,
    options: https.AgentOptions,
  ) {
    super(options)
  }

  override createConnection(
    options: tls.ConnectionOptions,
    callback: (error: Error | null, stream?: Duplex) => void,
  ): undefined {
    const { proxy, url, patience } = this
    const host = `${url.hostname}:${portOf(url)}`
    const headers = { host, ...headersFor(proxy) }
    const request = http.request(proxy, { method: 'CONNECT', path: host, auth: null, headers })
    const late = new DOMException('no tunnel', 'TimeoutError')
    const timer = setTimeout(() => request.destroy(late), patience)
    request.on('close', () => clearTimeout(timer))
    request.on('error', callback)
    request.on('connect', ({ statusCode = 0, statusMessage = '' }, socket) => {
      if (statusCode >= 200 && statusCode < 300) callback(null, tls.connect({ ...options, socket }))
      else {
        socket.destroy()
        callback(new NoTunnel(statusCode, statusMessage))
      }
    })
    request.end()
  }
}

/** How requests for a URL are made. */
export interface Way {
  readonly agent: http.Agent
  /** The server that is asked: the URL's, or the proxy's. */
  readonly server: URL
  /** What each request has more, of the options of node:http. */
  readonly options: http.RequestOptions
  readonly headers: http.OutgoingHttpHeaders
}

/**
 * The way to a URL: one connection, which is kept.
 *
 * @param patience how long a proxy may take for a tunnel, in ms
 */
export const wayTo = (
  url: URL,
  proxy: URL | null,
  secrets: tls.SecureContextOptions,
  patience: number,
): Way => {
  const keep = { keepAlive: true, maxSockets: 1 }
  const secure = { ...keep, ...secrets }
  const straight = { server: url, options: {}, headers: {} }
  if (url.protocol === 'https:')
    return {
      agent: proxy ? new TunnelAgent(proxy, url, patience, secure) : new https.Agent(secure),
      ...straight,
    }
  const agent = new http.Agent(keep)
  if (!proxy) return { agent, ...straight }
  return {
    agent,
    server: proxy,
    // Where there is no tunnel the proxy is told the whole URL (RFC 9112 3.2.2).
    options: { auth: userOf(url), path: `${url.origin}${url.pathname}${url.search}` },
    headers: { host: url.host, ...headersFor(proxy) },
  }
}
