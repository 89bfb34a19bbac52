/** `pstorefs info`: draw a store as a picture, with a table of its zones. */
import fs from 'node:fs'
import type { CommandModule } from 'yargs'
import { inWords } from '../../native/words.js'
import { standardInput } from '../../native/stdin.js'
import { StoreError } from '../../pstore/errors.js'
import type { Condition } from '../../pstore/condition.js'
import { conditionToJson } from './check.js'
import { arrayOf, json, jsonArray, jsonObject, print, printJson } from '../show/output.js'
import { glyphsOf, paint, StoreMap, type Canvas } from '../show/map.js'
import { ZoneTable } from '../show/zone-table.js'
import {
  fromEach,
  heading,
  placesOf,
  withSeveral,
  type Opened,
  type SeveralArgs,
} from '../options/several.js'
import { hasColours } from '../show/colours.js'
import { isReplaceable } from '../show/replaceable.js'
import { drawSvg } from '../show/svg.js'
import { describeUsage, headline, runsOf } from '../show/describe.js'

interface Args extends SeveralArgs {
  json: boolean
  svg: string | undefined
}

/** The abilities of stdout. */
const canvas = (): Canvas => {
  const { env, stdout } = process
  const dumb = env.TERM === 'dumb'
  return {
    width: Math.max(80, Math.min(200, stdout.isTTY ? stdout.columns : 80)),
    colour: hasColours(),
    unicode: !dumb && /utf-?8/i.test(env.LC_ALL || env.LC_CTYPE || env.LANG || ''),
  }
}

const legend = (canvas: Canvas): string => {
  const { used, free, none, corrected, bad, wrap } = glyphsOf(canvas)
  return (
    `${used} data  ${free} free  ${none.trim() ? `${none} no zone  ` : ''}${wrap} oldest byte of a ring  ` +
    `${corrected} corrected  ${bad} damaged`
  )
}

const details =
  'Draws the zones to scale, with their offsets, their fill, the place where a ring wraps, and the blocks ' +
  'that parity corrected or gave up. A table lists their content.'

export const info: CommandModule<object, Args> = {
  command: 'info [sources..]',
  describe: 'draw the layout: zones, offsets, fill, ECC state',
  builder: argv =>
    withSeveral(argv, 'info')
      .usage(`$0 info SOURCE… [options]\n$0 info --backend NAMES [options]\n\n${details}`)
      .option('svg', {
        type: 'string',
        requiresArg: true,
        describe: 'write the picture to FILE as SVG, for reports; - is standard output',
      })
      .option('json', {
        type: 'boolean',
        default: false,
        describe: 'print JSON, an array: an object a source',
      })
      .check(({ svg, json }) => svg !== '-' || !json || 'Give --svg - or --json, not both')
      .example('$0 info dump.bin', '')
      .example('$0 info dump.bin --svg report.svg', ''),
  handler: args => {
    const places = placesOf(args)
    const { svg } = args
    if (svg !== undefined) {
      if (places.length > 1) throw new StoreError('--svg: draws one source, and several are given')
      for (const { backend, shown } of fromEach(places, opened => [opened]))
        writeSvg(
          svg,
          drawSvg(headline(shown, backend), () => backend.survey.conditions()),
        )
      if (!args.json) return
    }
    if (args.json) printJson(arrayOf(fromEach(places, opened => [jsonObject(reportOf(opened))])))
    else
      print(
        fromEach(places, function* ({ backend, shown }) {
          const title = headline(shown, backend)
          const usage = backend.usage()
          const lines = usage ? [title, describeUsage(usage)] : [title]
          yield heading(places, shown)
          yield* picture(canvas(), lines, () => backend.survey.conditions())
        }),
      )
  },
}

/** The members that `--json` prints. */
function* reportOf({ backend, shown }: Opened): Generator<[string, Iterable<string>], void, void> {
  const facts = { backend: backend.name, source: shown, ...backend.survey.facts }
  for (const [fact, value] of Object.entries(facts)) yield [fact, [json(value)]]
  yield ['usage', [json(backend.usage())]]
  yield ['places', jsonArray(backend.survey.conditions(), conditionToJson)]
}

function* picture(
  here: Canvas,
  [title, ...facts]: readonly string[],
  places: () => Iterable<Condition>,
): Generator<string, void, void> {
  const map = new StoreMap(here)
  const table = new ZoneTable(here)
  for (const run of runsOf(map.adding(places()))) table.add(run)
  yield `${paint(here, 'bold', title ?? '')}\n${facts.map(fact => `${fact}\n`).join('')}\n`
  if (map.isEmpty) {
    yield 'empty\n'
    return
  }
  if (map.hasOffsets) yield `${map.draw()}\n\n`
  yield* table.lines(() => runsOf(places()))
  yield `\n${paint(here, 'dim', legend(here))}\n`
}

const writeSvg = (file: string, svg: Iterable<string>): void => {
  if (file === standardInput) {
    print(svg)
    return
  }
  if (!isReplaceable(file, '<svg '))
    throw new StoreError(
      `${file}: not written: holds something that is no picture: name another file`,
    )
  let fd: number
  try {
    fd = fs.openSync(file, 'w')
  } catch (error) {
    throw new StoreError(`${file}: ${inWords(error)}`)
  }
  try {
    print(svg, bytes => {
      try {
        fs.writeFileSync(fd, bytes)
      } catch (error) {
        throw new StoreError(`${file}: ${inWords(error)}`)
      }
    })
  } finally {
    fs.closeSync(fd)
  }
}
