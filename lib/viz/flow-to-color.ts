import { FlowError } from '../errors.js'
import type { FlowField } from '../flow-field.js'
import type { RgbImage } from '../image/rgb-image.js'
import { checkField, checkOptions } from '../support/arguments.js'
import { shown } from '../support/quote.js'
import { writeColor } from './color-wheel.js'

/** Options of {@link flowToColor}: lengths in pixels, all of them positive. */
export interface FlowColorOptions {
  /** The length that gets the full colour; longer ones are darkened. Default: the longest finite motion of the field. */
  readonly scale?: number | undefined
  /** Each component is clamped to +-clipMax, and the full colour is reached at clipMax at the latest. */
  readonly clipMax?: number | undefined
  /** Shorter motion is drawn white, as no motion. This hides the noise of a still background. */
  readonly clipMin?: number | undefined
}

/**
 * Checks the colour options, and returns them without any other properties of the object.
 *
 * @throws {FlowError} `ERR_ARGUMENT` if one is not a positive number.
 */
export function checkColorOptions({ scale, clipMax, clipMin }: FlowColorOptions): FlowColorOptions {
  const checked = { scale, clipMax, clipMin }
  for (const [name, value] of Object.entries(checked)) {
    if (value !== undefined && !(typeof value === 'number' && value > 0)) {
      throw new FlowError('ERR_ARGUMENT', `${name} is a length in pixels above 0, got ${shown(value)}`)
    }
  }
  return checked
}

/** Avoids a division by zero for a field without motion. The value is that of the reference implementation. */
const EPSILON = 1e-5

/**
 * Draws flow in the colour code of Baker et al. (IJCV 2011): hue is the direction, saturation the length, white is no
 * motion. Unknown flow (NaN or infinite) is also white.
 *
 * To compare the frames of a video, give `scale`. Without it, each frame is scaled to its own longest motion.
 *
 * @throws {FlowError} `ERR_ARGUMENT` if an option is not a positive number.
 */
export function flowToColor(flow: FlowField, options: FlowColorOptions = {}): RgbImage {
  checkField(flow, 'flow')
  checkOptions(options)
  const { scale, clipMax = Infinity, clipMin = 0 } = checkColorOptions(options)
  const { width, height, x, y } = flow
  const unit = (scale ?? Math.min(longest(flow), clipMax)) + EPSILON
  const data = new Uint8Array(3 * width * height).fill(255)
  for (let i = 0; i < x.length; i++) {
    const length = Math.hypot(x[i]!, y[i]!)
    if (!Number.isFinite(length) || length < clipMin) continue
    writeColor(clamp(x[i]!, clipMax) / unit, clamp(y[i]!, clipMax) / unit, data, 3 * i)
  }
  return { data, width, height }
}

/**
 * The legend of {@link flowToColor}: a disc on white, `size` x `size` pixels. A point's colour is that of the motion from the
 * centre to the point. The rim has the full colour.
 *
 * @throws {FlowError} `ERR_ARGUMENT` if `size` is not an integer from 8 to 8192.
 */
export function colorWheelLegend(size: number): RgbImage {
  if (!Number.isInteger(size) || size < 8 || size > 8192) {
    throw new FlowError('ERR_ARGUMENT', `the legend's size is an integer from 8 to 8192, got ${shown(size)}`)
  }
  const data = new Uint8Array(3 * size * size).fill(255)
  const centre = (size - 1) / 2
  const radius = size / 2 - 1
  for (let row = 0; row < size; row++) {
    for (let column = 0; column < size; column++) {
      const x = column - centre
      const y = row - centre
      const length = Math.hypot(x, y)
      const coverage = Math.min(Math.max(radius + 0.5 - length, 0), 1)
      if (coverage === 0) continue
      const at = 3 * (row * size + column)
      const unit = Math.max(length, radius)
      writeColor(x / unit, y / unit, data, at)
      // The disc covers only a part of the rim's pixels, so they are mixed with white.
      for (let i = at; i < at + 3; i++) data[i] = Math.round(255 + coverage * (data[i]! - 255))
    }
  }
  return { data, width: size, height: size }
}

function longest({ x, y }: FlowField): number {
  let max = 0
  for (let i = 0; i < x.length; i++) {
    const length = Math.hypot(x[i]!, y[i]!)
    if (Number.isFinite(length) && length > max) max = length
  }
  return max
}

function clamp(value: number, limit: number): number {
  return Math.min(Math.max(value, -limit), limit)
}
