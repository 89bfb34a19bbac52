/** `pstorefs info`: draw a store as a picture, with a table of its zones. */
import fs from 'node:fs'
import type { CommandModule } from 'yargs'
import type { Backend } from '../../pstore/backend.js'
import { StoreError } from '../../pstore/errors.js'
import type { Condition } from '../../pstore/condition.js'
import { conditionToJson } from './check.js'
import { json, jsonArray, jsonObject, print, printJson } from '../show/output.js'
import { glyphsOf, paint, StoreMap, type Canvas } from '../show/map.js'
import { ZoneTable } from '../show/zone-table.js'
import { attachToRead, withSource, type SourceArgs } from '../options/source.js'
import { drawSvg } from '../show/svg.js'
import { describeUsage, headline, runsOf } from '../show/describe.js'

interface Args extends SourceArgs {
  json: boolean
  svg: string | undefined
}

/** The abilities of stdout. */
const canvas = (): Canvas => {
  const { env, stdout } = process
  const dumb = env.TERM === 'dumb'
  return {
    width: Math.max(80, Math.min(200, stdout.isTTY ? stdout.columns : 80)),
    colour: stdout.isTTY && !dumb && !env.NO_COLOR,
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
  command: 'info <source>',
  describe: 'draw the layout: zones, offsets, fill, ECC state',
  builder: argv =>
    withSource(argv)
      .usage(`$0 info SOURCE [options]\n\n${details}`)
      .option('svg', {
        type: 'string',
        requiresArg: true,
        describe: 'write the picture to FILE as SVG, for reports',
      })
      .option('json', { type: 'boolean', default: false, describe: 'print JSON, an object' })
      .example('$0 info dump.bin', '')
      .example('$0 info dump.bin --svg report.svg', ''),
  handler: args => {
    const backend = attachToRead(args)
    try {
      const title = headline(args.source, backend)
      if (args.svg !== undefined)
        writeSvg(
          args.svg,
          drawSvg(title, () => backend.survey.conditions()),
        )
      if (args.json) printJson(jsonObject(reportOf(backend)))
      else if (args.svg === undefined) {
        const usage = backend.usage()
        const lines = usage ? [title, describeUsage(usage)] : [title]
        print(picture(canvas(), lines, () => backend.survey.conditions()))
      }
    } finally {
      backend.close()
    }
  },
}

/** The members that `--json` prints. */
function* reportOf(backend: Backend): Generator<[string, Iterable<string>], void, void> {
  for (const [fact, value] of Object.entries({ backend: backend.name, ...backend.survey.facts }))
    yield [fact, [json(value)]]
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
  try {
    const fd = fs.openSync(file, 'w')
    try {
      print(svg, bytes => fs.writeFileSync(fd, bytes))
    } finally {
      fs.closeSync(fd)
    }
  } catch (error) {
    throw new StoreError(`${file}: cannot be written: ${(error as NodeJS.ErrnoException).code}`)
  }
}
