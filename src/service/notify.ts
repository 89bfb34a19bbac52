/** Notifications to systemd (sd_notify(3)), where it asks for them. */
import { spawn } from 'node:child_process'

/**
 * Report that the service is ready, with a line for `systemctl status`.
 *
 * systemd-notify(1) does so, as Node has no datagram sockets of that family: the unit needs `NotifyAccess=all`.
 */
export const notifyReady = (status: string): void => {
  if (process.env.NOTIFY_SOCKET === undefined) return
  spawn('systemd-notify', ['--ready', `--status=${status}`], {
    stdio: ['ignore', 'ignore', 'inherit'],
  })
    .on('error', () => {})
    .unref()
}
