import { join } from 'node:path'
import type { FlowField } from '../../flow-field.js'
import { backgroundOf } from '../../image/background.js'
import { type RgbImage, toSharp } from '../../image/rgb-image.js'
import { saveImage } from '../../image/save.js'
import type { FlowErrors } from '../../metrics.js'
import { warp } from '../../motion/index.js'
import { isTwice, subsample } from '../../subsample.js'
import { toBuffer } from '../../support/brands.js'
import { errorToColor, flowToColor } from '../../viz/index.js'
import type { ReadPair } from './read-pair.js'

/** What a picture of a pair shows, for people. */
export const PANELS =
  'above the first frame, the true flow and the error; below the second frame, the flow and the second frame warped back'

/** Width of the picture's cells above which they are made smaller: six of Spring's frames would be 6000 px wide. */
const WIDEST = 640
const GAP = 4

/** The pairs with the largest errors, those without a figure before all. */
export function worstOf<T extends Pick<FlowErrors, 'epe'>>(pairs: readonly T[], count: number): T[] {
  const badness = ({ epe }: T) => (Number.isNaN(epe) ? Infinity : epe)
  return [...pairs]
    .sort((a, b) => Number(badness(b) > badness(a)) - Number(badness(b) < badness(a)))
    .slice(0, count)
}

/** Writes the picture of a pair and its flow. Returns its path. */
export async function drawPair(
  folder: string,
  place: number,
  name: string,
  { first, second, truth: given }: ReadPair,
  flow: FlowField,
): Promise<string> {
  const truth = isTwice(given, flow) ? subsample(given) : given
  // The same colours for both, so that they can be compared.
  const scale = truth.magnitude().max || flow.magnitude().max || 1
  const [a, b] = await Promise.all([backgroundOf(first, flow), backgroundOf(second, flow)])
  const cells = [
    a,
    flowToColor(truth, { scale }),
    errorToColor(flow, truth),
    b,
    flowToColor(flow, { scale }),
    warp(b, flow),
  ]
  const path = join(folder, `${String(place).padStart(2, '0')}-${name.replaceAll('/', '-')}.png`)
  await saveImage(path, await grid(cells, 3))
  return path
}

/** Pictures of one size, side by side in rows. */
async function grid(cells: readonly RgbImage[], perRow: number): Promise<RgbImage> {
  const { width: full, height: tall } = cells[0]!
  const width = Math.min(full, WIDEST)
  const height = Math.max(1, Math.round((tall * width) / full))
  const parts = await Promise.all(
    cells.map(async (cell) => (await toSharp(cell)).resize(width, height, { fit: 'fill' }).raw().toBuffer()),
  )
  const rows = Math.ceil(cells.length / perRow)
  const whole = { width: perRow * (width + GAP) - GAP, height: rows * (height + GAP) - GAP }
  const data = new Uint8Array(3 * whole.width * whole.height).fill(255)
  parts.forEach((part, n) => {
    const [left, top] = [(n % perRow) * (width + GAP), Math.floor(n / perRow) * (height + GAP)]
    for (let row = 0; row < height; row++) {
      const line = toBuffer(part).subarray(3 * width * row, 3 * width * (row + 1))
      data.set(line, 3 * ((top + row) * whole.width + left))
    }
  })
  return { data, ...whole }
}
