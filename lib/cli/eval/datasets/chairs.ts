import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { FlowError } from '../../../errors.js'
import { ioError } from '../../../support/io-error.js'
import { codeOf } from '../../../support/brands.js'
import { listed, shortPath } from '../../../support/quote.js'
import type { DataSet, Part } from './dataset.js'
import { numbersIn, oneOf, someOf } from './folders.js'

const SPLIT_FILES = ['FlyingChairs_train_val.txt', 'FlyingChairs_train_val_split.txt']
const CODES: Readonly<Record<Part['split'], string>> = { train: '1', val: '2' }

export const chairs: DataSet = {
  title: 'FlyingChairs',
  layout:
    'NNNNN_img1.ppm, NNNNN_img2.ppm and NNNNN_flow.flo in data/ or in the root, and in either FlyingChairs_train_val.txt, which ' +
    'has a line for each pair: 1 is train, 2 is val',
  has: ['split'],
  async list(root, { split }) {
    const data = await oneOf(root, 'data', '.')
    const truths = await numbersIn(data, /^(\d+)_flow\.flo$/)
    const frames = await numbersIn(data, /^(\d+)_img1\.ppm$/)
    const numbers = someOf([...new Set([...truths, ...frames])].sort(), data)
    const codes = await readSplit([root, data], numbers.length)
    const pairs = numbers
      .filter((_, i) => codes[i] === CODES[split])
      .map((number) => ({
        name: number,
        sequence: null,
        first: join(data, `${number}_img1.ppm`),
        second: join(data, `${number}_img2.ppm`),
        truth: join(data, `${number}_flow.flo`),
      }))
    return someOf(pairs, `${data}, split ${split}`)
  },
}

/** A code for each pair, in their order. */
async function readSplit(folders: readonly string[], pairs: number): Promise<string[]> {
  const paths = folders.flatMap((folder) => SPLIT_FILES.map((name) => join(folder, name)))
  for (const path of paths) {
    let text: string
    try {
      text = await readFile(path, 'utf8')
    } catch (error) {
      if (codeOf(error) === 'ENOENT') continue
      throw ioError(path, 'read', error)
    }
    const codes = text.split(/\s+/).filter((word) => word !== '')
    const wrong = codes.filter((code) => code !== '1' && code !== '2')
    if (wrong.length > 0)
      throw new FlowError(
        'ERR_FORMAT',
        `${shortPath(path)}: each line is 1 or 2, not ${listed(wrong.slice(0, 3))}`,
      )
    if (codes.length !== pairs)
      throw new FlowError(
        'ERR_FORMAT',
        `${shortPath(path)}: splits ${codes.length} pairs, and there are ${pairs}: files are missing, or it is of another data set`,
      )
    return codes
  }
  throw new FlowError(
    'ERR_IO',
    `${shortPath(paths[0]!)}: no such file: it says which pairs are for validation`,
  )
}
