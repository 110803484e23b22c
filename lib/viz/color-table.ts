import { FlowError } from '../errors.js'
import type { FlowField } from '../flow-field.js'
import { writeColor } from './color-wheel.js'
import type { FlowColorOptions } from './flow-to-color.js'

/** Entries of the table along each axis: neighbouring colours differ by at most 2 of 255 levels. */
const SIDE = 512
const HALF = SIDE / 2
/** The motion at the border of the table, in units of the scale. Longer motion has the colour of its direction. */
const REACH = 1.25
/** The parts of red and blue in Y: ITU-R BT.709-6. */
const [RED, BLUE] = [0.2126, 0.0722]
/** Bits of an entry: Y, then U, then V. Four U, or four V, can be added where one is. */
const [U_AT, V_AT] = [8, 20]
const WHITE = 235 | (128 << U_AT) | (128 << V_AT)

/** Options of {@link paintFlow}: those of `flowToColor`, with a scale that its caller chose. */
export interface PaintOptions extends FlowColorOptions {
  /** The length that gets the full colour, in pixels, above 0. */
  readonly scale: number
}

/** Bytes of a picture of {@link paintFlow}. */
export function paintedBytes(width: number, height: number): number {
  return width * height + 2 * Math.ceil(width / 2) * Math.ceil(height / 2)
}

let table: Uint32Array | undefined

/**
 * Draws flow as `flowToColor` does, by a table of colours, as encoders of video want it: YUV of ITU-R BT.709 with the levels of
 * video, planes of Y, U and V (`i420`), where 2 x 2 pixels share the mean of their U and V. It takes a tenth of the time, and is
 * a level or two off; an encoder changes more.
 *
 * @param out receives {@link paintedBytes} bytes
 * @throws {FlowError} `ERR_ARGUMENT` if `out` has another length
 */
export function paintFlow(flow: FlowField, options: PaintOptions, out: Uint8Array): void {
  const { x, y, width, height } = flow
  const bytes = paintedBytes(width, height)
  if (out.length !== bytes)
    throw new FlowError('ERR_ARGUMENT', `out: must have ${bytes} bytes, not ${out.length}`)
  const { scale, clipMax = Infinity, clipMin = 0 } = options
  const colors = (table ??= makeTable())
  const factor = HALF / (REACH * scale)
  const border = (HALF - 1) / factor
  const shortest = clipMin * clipMin

  /** Of motion that is clipped, beyond the table, or unknown. */
  const rareColor = (dx: number, dy: number): number => {
    const squared = dx * dx + dy * dy
    // False for NaN as well.
    if (!(squared >= shortest && squared < Infinity)) return WHITE
    if (dx > clipMax || dx < -clipMax) dx = Math.sign(dx) * clipMax
    if (dy > clipMax || dy < -clipMax) dy = Math.sign(dy) * clipMax
    const shorter = Math.min(1, border / Math.max(Math.abs(dx), Math.abs(dy)))
    return colors[((dy * shorter * factor + HALF) | 0) * SIDE + ((dx * shorter * factor + HALF) | 0)]!
  }

  // Nearly all motion is within these bounds. NaN is not.
  const near = clipMin > 0 ? 0 : Math.min(clipMax, border)
  const colorAt = (i: number): number => {
    const dx = x[i]!
    const dy = y[i]!
    return dx < near && dx > -near && dy < near && dy > -near
      ? colors[((dy * factor + HALF) | 0) * SIDE + ((dx * factor + HALF) | 0)]!
      : rareColor(dx, dy)
  }

  let u = width * height
  let v = u + (bytes - u) / 2
  for (let row = 0; row < height; row += 2) {
    const upper = row * width
    const lower = row + 1 < height ? upper + width : upper
    for (let column = 0; column < width; column += 2) {
      const right = column + 1 < width ? column + 1 : column
      const a = colorAt(upper + column)
      const b = colorAt(upper + right)
      const c = colorAt(lower + column)
      const d = colorAt(lower + right)
      out[upper + column] = a
      out[upper + right] = b
      out[lower + column] = c
      out[lower + right] = d
      const sum = (a >>> U_AT) + (b >>> U_AT) + (c >>> U_AT) + (d >>> U_AT)
      out[u++] = ((sum & (2 ** (V_AT - U_AT) - 1)) + 2) >> 2
      out[v++] = ((sum >>> (V_AT - U_AT)) + 2) >> 2
    }
  }
}

/** The colours of the middles of the table's cells. The cell of no motion is white, as no motion is. */
function makeTable(): Uint32Array {
  const colors = new Uint32Array(SIDE * SIDE)
  const rgb = new Uint8Array(3)
  const length = (cell: number) => ((cell + 0.5 - HALF) * REACH) / HALF
  for (let row = 0; row < SIDE; row++)
    for (let column = 0; column < SIDE; column++) {
      writeColor(length(column), length(row), rgb, 0)
      colors[row * SIDE + column] = toYuv(rgb[0]! / 255, rgb[1]! / 255, rgb[2]! / 255)
    }
  colors[HALF * SIDE + HALF] = WHITE
  return colors
}

function toYuv(red: number, green: number, blue: number): number {
  const luma = RED * red + (1 - RED - BLUE) * green + BLUE * blue
  const u = 128 + (112 * (blue - luma)) / (1 - BLUE)
  const v = 128 + (112 * (red - luma)) / (1 - RED)
  return Math.round(16 + 219 * luma) | (Math.round(u) << U_AT) | (Math.round(v) << V_AT)
}
