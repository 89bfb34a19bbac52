/** Telling systemd how the service is (sd_notify(3)), where it asks. */
import { spawn } from 'node:child_process'

/**
 * Say that the service is ready, and what it does, for `systemctl status`.
 *
 * By systemd-notify(1), since Node has no sockets of that kind: the unit needs `NotifyAccess=all`.
 */
export const notifyReady = (status: string): void => {
  if (process.env.NOTIFY_SOCKET === undefined) return
  spawn('systemd-notify', ['--ready', `--status=${status}`], {
    stdio: ['ignore', 'ignore', 'inherit'],
  })
    .on('error', () => {})
    .unref()
}
