/** What people see on a terminal, and programs in a pipe: headers, colours, zones of time, and states. */
import t from 'tap'
import { layoutOptions, loadFixture } from '../fixtures.js'
import { file, program, pstorefs, run, succeed } from '../program.js'

/** What a terminal of 80 columns gets of a command. */
const shown = (args: readonly string[], environment = ''): string => {
  const line = [process.execPath, program, ...args].map(word => `'${word}'`).join(' ')
  const { stdout } = run('script', ['-qec', `stty cols 80; ${environment} ${line}`, '/dev/null'])
  return stdout.toString().replaceAll('\r\n', '\n').replaceAll('\x1b[', 'ESC')
}

const make = (name: string) => {
  const fixture = loadFixture(name)
  return [file(t, fixture.region()), ...layoutOptions(fixture)] as const
}

t.test('a terminal gets a header, and colours where lines differ; a pipe gets neither', async t => {
  const damaged = make('ecc1-unrecoverable-text')
  const piped = succeed(t, ['ls', ...damaged]).toString()
  t.notMatch(piped, /ESC|time/)
  t.match(shown(['ls', ...damaged]), /^ESC2mname +size +time \(UTC\) +stateESC22m\n/)
  t.match(shown(['ls', ...damaged]), /^ESC31m.* blocks? damagedESC39m$/m)
  const plain = shown(['ls', ...damaged], 'NO_COLOR=1')
  t.match(plain, /^name +size +time \(UTC\) +state\n/)
  t.equal(plain.split('\n').slice(1).join('\n'), piped, 'nothing else differs')
  const corrected = make('ecc1-corrected')
  t.match(shown(['ls', ...corrected]), /^ESC33m.* bytes? correctedESC39m$/m)
  t.notMatch(shown(['ls', ...corrected]), /ESC31m/)
})

t.test('nothing has no header', async t => {
  t.notMatch(shown(['ls', ...make('raw-zero')]), /time/)
})

t.test('the zone of times is said', async t => {
  const region = make('all-noecc')
  t.match(shown(['ls', ...region], 'TZ=Asia/Kathmandu'), /time \(\+05:45\)/)
  t.match(shown(['list', ...region], 'TZ=America/St_Johns'), /time \(-0[23]:30\)/)
  t.match(succeed(t, ['show', ...region]).toString(), /^when .* \d\d:\d\d:\d\d UTC/m)
})

t.test('without parity nothing is said to be ok', async t => {
  t.match(succeed(t, ['ls', ...make('all-noecc')]).toString(), /^console-\S+ .* no parity$/m)
  t.match(succeed(t, ['ls', ...make('ecc1-all')]).toString(), /^console-\S+ .* ok$/m)
})

t.test('the picture has a legend, also on standard output', async t => {
  const { stdout, status } = pstorefs(['info', ...make('ecc1-corrected'), '--svg', '-'])
  t.equal(status, 0)
  for (const name of ['data', 'corrected', 'damaged', 'oldest byte of a ring'])
    t.match(stdout.toString(), `>${name}</text>`)
})
