import type { FlowField } from '../../flow-field.js'

/** Every so many pixels of a row, and rows, are looked at. */
const STEP = 8
/** The part of the motions that is within the scale. The others, often errors, must not make all colours pale. */
const SHARE = 0.99
/** The scale of a still scene, in pixels: its noise stays pale. */
const LEAST = 1
/** Frames in which the scale halves at most. Colours that jumped would look like motion. */
const HALF_LIFE = 30

/**
 * The motion that gets the full colour, where none was given. It grows with the motion at once, and shrinks slowly, so that
 * equal motions of frames that follow each other have nearly equal colours.
 */
export class ColorScale {
  #scale = 0

  /** The scale for this field, the next one of the video. In pixels. */
  next(flow: FlowField): number {
    this.#scale = Math.max(LEAST, mostMotion(flow), this.#scale * 0.5 ** (1 / HALF_LIFE))
    return this.#scale
  }
}

/** The length that 99 % of the sampled motions do not exceed; 0 if none is known. */
function mostMotion({ x, y, width, height }: FlowField): number {
  const lengths: number[] = []
  for (let row = STEP >> 1; row < height; row += STEP)
    for (let column = STEP >> 1; column < width; column += STEP) {
      const i = row * width + column
      const length = Math.sqrt(x[i]! * x[i]! + y[i]! * y[i]!)
      if (length < Infinity) lengths.push(length)
    }
  const sorted = Float64Array.from(lengths).sort()
  return sorted[Math.floor(SHARE * sorted.length)] ?? sorted.at(-1) ?? 0
}
