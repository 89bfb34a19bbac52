/** The program as it is shipped, and a small region to run it on. */
import fs from 'node:fs'
import path from 'node:path'
import { gunzipSync } from 'node:zlib'

const project = path.resolve(import.meta.dirname, '../..')

/** Put the program into a folder as npm installs it: with koffi alone, as a clone's optional packages take their time. */
export const installIn = (folder: string): string => {
  for (const name of ['package.json', 'bundle'])
    fs.cpSync(path.join(project, name), `${folder}/${name}`, { recursive: true })
  fs.mkdirSync(`${folder}/node_modules`)
  for (const name of ['koffi', '@koromix'])
    fs.symlinkSync(`${project}/node_modules/${name}`, `${folder}/node_modules/${name}`)
  return `${folder}/bundle/pstorefs.js`
}

/** Put the quickstart's region of 128 KiB into a folder; gives its path, and the options that say its layout. */
export const sampleIn = (folder: string): { region: string; layout: string[] } => {
  const sample = path.join(project, 'scripts/sample')
  const region = `${folder}/region.img`
  fs.writeFileSync(region, gunzipSync(fs.readFileSync(`${sample}/region.img.gz`)))
  return {
    region,
    layout: fs.readFileSync(`${sample}/options`, 'utf8').split(/\s+/).filter(Boolean),
  }
}
