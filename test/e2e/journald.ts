/** systemd's journald, the real one, of which a test has a machine's /run for itself. */
import { run, type Outcome } from '../program.js'

/** journald beside a script. The journal goes when the script ends; so does the mount, with its namespace. */
const beside = `
mount -t tmpfs none /run
mkdir -p /run/systemd/journal /run/log/journal
/lib/systemd/systemd-journald 2>/dev/null &
daemon=$!
trap 'kill $daemon; wait $daemon' EXIT
n=0
until [ -S /run/systemd/journal/socket ]; do
  n=$((n + 1)); [ $n -le 300 ] || exit 99
  sleep 0.1
done
`

/**
 * Run a shell's script where journald listens: \`entries\` prints the journal's entries of a message id as JSON.
 *
 * @param args its $1, $2, …
 */
export const withJournald = (script: string, args: readonly string[] = []): Outcome =>
  run('unshare', ['-m', 'sh', '-ec', `${beside}${entries}${script}`, 'sh', ...args])

const entries = `
entries() {
  journalctl --sync
  journalctl -D /run/log/journal --all -o json "MESSAGE_ID=$1"
}
`
