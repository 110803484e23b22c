import type { FlowField } from '../../flow-field.js'
import type { Frame } from '../../frame.js'
import { toBuffer } from '../../support/brands.js'
import { loadSharp } from '../../image/sharp.js'
import type { TimelineStep } from './page-data.js'

/** The longer side, in pixels, at which two frames are compared. */
const SIDE = 96

/** A cut leaves so much difference, in levels of gray of 255 ... */
const DIFFERENT = 20
/** ... and so many times that of the median step. */
const UNUSUAL = 3

/** How far a frame is, on average, from the next one warped back by the flow: in levels of gray, at a small size. */
export async function frameMismatch(first: Frame, second: Frame, flow: FlowField): Promise<number> {
  const shrink = Math.min(1, SIDE / Math.max(flow.width, flow.height))
  const width = Math.max(1, Math.round(shrink * flow.width))
  const height = Math.max(1, Math.round(shrink * flow.height))
  const [a, b] = await Promise.all([grayOf(first, width, height), grayOf(second, width, height)])
  let sum = 0
  let seen = 0
  for (let row = 0; row < height; row++)
    for (let column = 0; column < width; column++) {
      const x = Math.min(flow.width - 1, Math.floor(((column + 0.5) * flow.width) / width))
      const y = Math.min(flow.height - 1, Math.floor(((row + 0.5) * flow.height) / height))
      const pixel = y * flow.width + x
      const toColumn = Math.round(column + (flow.x[pixel]! * width) / flow.width)
      const toRow = Math.round(row + (flow.y[pixel]! * height) / flow.height)
      // Written so that NaN is left out.
      if (!(toColumn >= 0 && toColumn < width && toRow >= 0 && toRow < height)) continue
      sum += Math.abs(a[row * width + column]! - b[toRow * width + toColumn]!)
      seen += 1
    }
  return seen === 0 ? 255 : sum / seen
}

/** Marks the steps where the next frame is not what the flow makes it: most likely the scene was cut. */
export function markCuts(
  timeline: readonly TimelineStep[],
  mismatches: ReadonlyMap<number, number>,
): TimelineStep[] {
  const sorted = [...mismatches.values()].sort((a, b) => a - b)
  const median = sorted[sorted.length >> 1] ?? 0
  return timeline.map((step) => {
    const mismatch = mismatches.get(step.number) ?? 0
    const cut = step.event === null && mismatch > DIFFERENT && mismatch > UNUSUAL * median
    return cut ? { ...step, event: 'cut' } : step
  })
}

async function grayOf(frame: Frame, width: number, height: number): Promise<Uint8Array> {
  const sharp = await loadSharp()
  const channels = frame.format === 'gray' ? 1 : 3
  return sharp(toBuffer(frame.data), { raw: { width: frame.width, height: frame.height, channels } })
    .resize(width, height, { fit: 'fill' })
    .grayscale()
    .raw()
    .toBuffer()
}
