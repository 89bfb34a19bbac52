/** Notifications to systemd (sd_notify(3)), where it asks for them. */
import { spawn } from 'node:child_process'

/** systemd-notify(1) tells systemd, as Node has no datagram sockets of that family: the unit needs `NotifyAccess=all`. */
const notify = (...words: string[]): void => {
  if (process.env.NOTIFY_SOCKET === undefined) return
  spawn('systemd-notify', words, { stdio: ['ignore', 'ignore', 'inherit'] })
    .on('error', () => {})
    .unref()
}

/** Report that the service is ready, with a line for `systemctl status`. */
export const notifyReady = (status: string): void => notify('--ready', `--status=${status}`)

/** Report how things are by now. */
export const notifyStatus = (status: string): void => notify(`--status=${status}`)
