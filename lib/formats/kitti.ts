import { FlowError } from '../errors.js'
import { FlowField } from '../flow-field.js'
import { loadSharp, reasonOf } from '../image/sharp.js'
import { checkBytes, checkField } from '../support/arguments.js'
import { shown } from '../support/quote.js'
import { toBuffer } from '../support/brands.js'
import { damaged, LARGEST_INFLATION, MAX_DECODED_PIXELS } from './floats.js'
import { isUnknown } from './unknown.js'

// The file: a 16-bit RGB PNG. Red is x, green is y, blue is 1 where the flow is valid, else 0. Its pixels do not tell the code of
// x and y, and the datasets' codes differ.
const LARGEST = 2 ** 16 - 1

/**
 * How a 16-bit PNG codes flow. `kitti` (KITTI, HD1K): (v - 2^15) / 64 px. `dsec` (DSEC): (v - 2^15) / 128 px. `vkitti2` (Virtual
 * KITTI 2): v is spread over twice the frame's size, (2 v / 65535 - 1) (side - 1) px.
 */
export type PngCode = 'kitti' | 'dsec' | 'vkitti2'

/** Pixels are `step * (v - zero)` along a side of so many pixels. */
interface Scale {
  readonly step: number
  readonly zero: number
}

// kitti: https://www.cvlibs.net/datasets/kitti/eval_scene_flow.php?benchmark=flow (readme.txt of the development kit)
// dsec: https://dsec.ifi.uzh.ch/optical-flow-submission-format/
// vkitti2: https://europe.naverlabs.com/research/proxy-virtual-worlds-vkitti-2/
const CODES: Readonly<Record<PngCode, (side: number) => Scale>> = {
  kitti: () => ({ step: 1 / 64, zero: 2 ** 15 }),
  dsec: () => ({ step: 1 / 128, zero: 2 ** 15 }),
  vkitti2: (side) => ({ step: (2 * (side - 1)) / LARGEST, zero: LARGEST / 2 }),
}

/** Every {@link PngCode}. */
export const PNG_CODES = Object.keys(CODES) as readonly PngCode[]

export interface PngCodeOptions {
  /** The code of x and y in a 16-bit PNG. It cannot be told from the file. Default `kitti`. */
  readonly pngCode?: PngCode | undefined
}

const PNG_SIGNATURE = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]
const PNG_HEADER_BYTES = 33
const RGB = 2
const COLOUR_TYPES: Readonly<Record<number, string>> = {
  0: 'gray',
  2: 'RGB',
  3: 'a palette',
  4: 'gray with alpha',
  6: 'RGBA',
}

/**
 * Reads flow from a 16-bit PNG: KITTI's, in steps of 1/64 px, or that of another dataset, which `pngCode` names. Invalid pixels
 * become NaN.
 *
 * @throws {FlowError} `ERR_FORMAT` if it is not a 16-bit RGB PNG, or is damaged; `ERR_ARGUMENT` for an unknown code.
 */
export async function decodeKitti(
  bytes: Uint8Array,
  { pngCode = 'kitti' }: PngCodeOptions = {},
): Promise<FlowField> {
  if (!PNG_CODES.includes(pngCode))
    throw new FlowError('ERR_ARGUMENT', `pngCode is one of ${PNG_CODES.join(', ')}, not ${shown(pngCode)}`)
  checkBytes(bytes)
  const { width, height } = checkHeader(bytes)
  const sharp = await loadSharp()
  let decoded: Buffer
  try {
    decoded = await sharp(toBuffer(bytes), {
      failOn: 'warning',
      ignoreIcc: true,
      limitInputPixels: width * height,
    })
      .toColourspace('rgb16')
      .raw({ depth: 'ushort' })
      .toBuffer()
  } catch (cause) {
    throw damaged('KITTI PNG', `${reasonOf(cause)}: get it again`, cause)
  }
  if (decoded.length !== 6 * width * height)
    throw damaged('KITTI PNG', 'it is not of three channels: save it as 16-bit RGB')

  const samples = toSamples(decoded)
  const flow = new FlowField(width, height)
  const { x, y } = flow
  const [ofX, ofY] = [CODES[pngCode](width), CODES[pngCode](height)]
  for (let i = 0; i < x.length; i++) {
    const valid = samples[3 * i + 2] !== 0
    x[i] = valid ? (samples[3 * i]! - ofX.zero) * ofX.step : NaN
    y[i] = valid ? (samples[3 * i + 1]! - ofY.zero) * ofY.step : NaN
  }
  return flow
}

/**
 * Writes KITTI's flow: rounded to 1/64 px and clamped to the range of 16 bits, -512 to 511.98 px. A pixel whose flow is
 * unknown (not finite, or 1e9 or more) is written as invalid.
 */
export async function encodeKitti(flow: FlowField): Promise<Uint8Array> {
  checkField(flow, 'flow')
  const { width, height, x, y } = flow
  const samples = new Uint16Array(3 * width * height)
  for (let i = 0; i < x.length; i++) {
    if (isUnknown(x[i]!, y[i]!)) continue
    samples[3 * i] = quantise(x[i]!)
    samples[3 * i + 1] = quantise(y[i]!)
    samples[3 * i + 2] = 1
  }
  const sharp = await loadSharp()
  return sharp(samples, { raw: { width, height, channels: 3 }, limitInputPixels: false })
    .toColourspace('rgb16')
    .png()
    .toBuffer()
}

/** Pixels whose motion KITTI's PNG cannot hold: {@link encodeKitti} shortens it. */
export function beyondKitti({ x, y }: FlowField): number {
  let count = 0
  for (let i = 0; i < x.length; i++) if (!isUnknown(x[i]!, y[i]!) && !(fits(x[i]!) && fits(y[i]!))) count++
  return count
}

/** The decoder's bytes as 16-bit numbers. They are copied only if their offset is not a multiple of 2. */
function toSamples(decoded: Buffer): Uint16Array {
  const aligned = decoded.byteOffset % 2 === 0 ? decoded : new Uint8Array(decoded)
  return new Uint16Array(aligned.buffer, aligned.byteOffset, aligned.byteLength / 2)
}

function quantise(pixels: number): number {
  return Math.min(Math.max(unclamped(pixels), 0), LARGEST)
}

function fits(pixels: number): boolean {
  return unclamped(pixels) >= 0 && unclamped(pixels) <= LARGEST
}

function unclamped(pixels: number): number {
  const { step, zero } = CODES.kitti(0)
  return Math.round(pixels / step) + zero
}

/** Checks width and height before the decoder runs, because the decoder allocates as much memory as the header claims. */
function checkHeader(bytes: Uint8Array): { width: number; height: number } {
  if (bytes.length < PNG_HEADER_BYTES || PNG_SIGNATURE.some((byte, i) => bytes[i] !== byte)) {
    throw damaged('KITTI PNG', 'it has no PNG header: get it again')
  }
  const header = new DataView(bytes.buffer, bytes.byteOffset, PNG_HEADER_BYTES)
  const width = header.getUint32(16)
  const height = header.getUint32(20)
  const bits = header.getUint8(24)
  if (bits !== 16 || header.getUint8(25) !== RGB) {
    const kind = COLOUR_TYPES[header.getUint8(25)] ?? 'unknown colours'
    throw damaged(
      'KITTI PNG',
      `flow needs 16-bit RGB, and this is ${kind} of ${bits} bits${bits === 16 ? '' : ', perhaps a picture of flow, which does not hold its values'}: give the 16-bit RGB file`,
    )
  }
  if (width * height > MAX_DECODED_PIXELS)
    throw damaged(
      'KITTI PNG',
      `${width} x ${height} pixels are more than ${MAX_DECODED_PIXELS}: save it in parts`,
    )
  if (width < 1 || height < 1 || 6 * width * height > LARGEST_INFLATION * bytes.length) {
    throw damaged('KITTI PNG', `${bytes.length} bytes cannot hold ${width} x ${height} pixels: get it again`)
  }
  return { width, height }
}
