import { messageOf } from '../errors.js'
import { FlowField } from '../flow-field.js'
import { loadSharp } from '../image/sharp.js'
import { damaged, MAX_DECODED_PIXELS } from './floats.js'

// The file: a 16-bit RGB PNG. Red is 64 x + 2^15, green is 64 y + 2^15, blue is 1 where the flow is valid, else 0.
// https://www.cvlibs.net/datasets/kitti/eval_scene_flow.php?benchmark=flow (readme.txt of the development kit)
const STEPS_PER_PIXEL = 64
const ZERO = 2 ** 15
const LARGEST = 2 ** 16 - 1

const PNG_SIGNATURE = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]
const PNG_HEADER_BYTES = 33
const RGB = 2

/** Inflating a deflate stream makes it at most this many times as large. A header that claims more is false. */
const LARGEST_INFLATION = 1032

/**
 * Reads KITTI's flow, a 16-bit PNG in steps of 1/64 px. Invalid pixels become NaN.
 *
 * @throws {FlowError} `ERR_FORMAT` if it is not a 16-bit RGB PNG, or is damaged.
 */
export async function decodeKitti(bytes: Uint8Array): Promise<FlowField> {
  const { width, height } = checkHeader(bytes)
  const sharp = await loadSharp()
  let decoded: Buffer
  try {
    decoded = await sharp(bytes, { failOn: 'warning', ignoreIcc: true, limitInputPixels: width * height })
      .toColourspace('rgb16')
      .raw({ depth: 'ushort' })
      .toBuffer()
  } catch (cause) {
    throw damaged('KITTI PNG', messageOf(cause), cause)
  }
  if (decoded.length !== 6 * width * height) throw damaged('KITTI PNG', 'it is not of three channels')

  const samples = toSamples(decoded)
  const flow = new FlowField(width, height)
  const { x, y } = flow
  for (let i = 0; i < x.length; i++) {
    const valid = samples[3 * i + 2] !== 0
    x[i] = valid ? (samples[3 * i]! - ZERO) / STEPS_PER_PIXEL : NaN
    y[i] = valid ? (samples[3 * i + 1]! - ZERO) / STEPS_PER_PIXEL : NaN
  }
  return flow
}

/**
 * Writes KITTI's flow: rounded to 1/64 px and clamped to the range of 16 bits, -512 to 511.98 px. A pixel whose flow is not
 * finite is written as invalid.
 */
export async function encodeKitti(flow: FlowField): Promise<Uint8Array> {
  const { width, height, x, y } = flow
  const samples = new Uint16Array(3 * width * height)
  for (let i = 0; i < x.length; i++) {
    if (!Number.isFinite(x[i]) || !Number.isFinite(y[i])) continue
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

/** The decoder's bytes as 16-bit numbers. They are copied only if their offset is not a multiple of 2. */
function toSamples(decoded: Buffer): Uint16Array {
  const aligned = decoded.byteOffset % 2 === 0 ? decoded : new Uint8Array(decoded)
  return new Uint16Array(aligned.buffer, aligned.byteOffset, aligned.byteLength / 2)
}

function quantise(pixels: number): number {
  return Math.min(Math.max(Math.round(STEPS_PER_PIXEL * pixels) + ZERO, 0), LARGEST)
}

/** Checks width and height before the decoder runs, because the decoder allocates as much memory as the header claims. */
function checkHeader(bytes: Uint8Array): { width: number; height: number } {
  if (bytes.length < PNG_HEADER_BYTES || PNG_SIGNATURE.some((byte, i) => bytes[i] !== byte)) {
    throw damaged('KITTI PNG', 'it has no PNG header')
  }
  const header = new DataView(bytes.buffer, bytes.byteOffset, PNG_HEADER_BYTES)
  const width = header.getUint32(16)
  const height = header.getUint32(20)
  const bits = header.getUint8(24)
  if (bits !== 16 || header.getUint8(25) !== RGB) {
    throw damaged(
      'KITTI PNG',
      `flow needs 16-bit RGB, this is colour type ${header.getUint8(25)} of ${bits} bits`,
    )
  }
  if (width * height > MAX_DECODED_PIXELS)
    throw damaged('KITTI PNG', `${width} x ${height} pixels are more than ${MAX_DECODED_PIXELS}`)
  if (width < 1 || height < 1 || 6 * width * height > LARGEST_INFLATION * bytes.length) {
    throw damaged('KITTI PNG', `${bytes.length} bytes cannot hold ${width} x ${height} pixels`)
  }
  return { width, height }
}
