import { FlowError } from '../errors.js'
import { decodeOwn, isJpeg, undecodable } from '../image/decode.js'
import { loadSharp } from '../image/sharp.js'
import type { PixelMap } from '../request.js'
import { latin1 } from '../support/file-kind.js'
import { toPath } from '../support/file-path.js'
import { shortPath } from '../support/quote.js'
import { readWhole } from '../support/read-file.js'
import { damaged, decodeFloats } from './floats.js'
import { inCOrder, readNpyArray } from './npy-array.js'
import { unpackArray } from './npz.js'

/**
 * Reads a mask of pixels: 1 where the file is set, else 0. A pixel of a picture is set unless it is black (0 in all channels), so
 * 0 and 1, 0 and 255, and 16-bit pictures of 0 and 1 are read alike. An element of a NumPy array (`.npy`; `.npz` with one array, or
 * one named `mask`) is set if it is true, an integer other than 0, or a float of 0.5 or more; its shape is (H, W), with further axes
 * of 1 where any.
 *
 * @param file a path, `-` for standard input, or a file: URL
 * @throws {FlowError} `ERR_FRAME` if a picture cannot be decoded, or is a JPEG, whose black is not exactly black; `ERR_FORMAT` for an
 *   array that cannot be read; `ERR_IO`; `ERR_ARGUMENT` for a URL other than a file: URL; `ERR_NATIVE` if `sharp` cannot be loaded
 */
export async function readMask(file: string | URL): Promise<PixelMap<Uint8Array>> {
  const path = toPath(file, 'mask')
  const name = shortPath(path)
  const bytes = await readWhole(path, { name, expected: 'a mask', code: 'ERR_FRAME' })
  try {
    const start = latin1(bytes.subarray(0, 6))
    if (start === '\x93NUMPY') return maskOfArray(bytes)
    if (start.startsWith('PK\x03\x04')) return maskOfArray(await unpackArray(bytes, 'mask'))
  } catch (error) {
    if (!(error instanceof FlowError)) throw error
    throw new FlowError(error.code, `${name}: ${error.message}`, { cause: error })
  }
  return maskOfPicture(bytes, name)
}

function maskOfArray(bytes: Uint8Array): PixelMap<Uint8Array> {
  const array = readNpyArray(bytes, 'a mask')
  const [height = 0, width = 0, ...rest] = sidesOf(array.shape)
  if (rest.length > 0 || height < 1 || width < 1)
    throw damaged('.npy', `a mask needs shape (H, W), not (${array.shape.join(', ')}): save it as such`)
  const data = new Uint8Array(array.count)
  if (array.type.kind === 'float') {
    // Written so that NaN is not set.
    decodeFloats(array.data, array.type).forEach((value, i) => (data[i] = value >= 0.5 ? 1 : 0))
  } else {
    const { size } = array.type
    array.data.forEach((byte, i) => {
      if (byte !== 0) data[Math.floor(i / size)] = 1
    })
  }
  return { data: inCOrder(data, array), width, height }
}

/** Height and width, without the axes of 1 behind them and in front. */
function sidesOf(shape: readonly number[]): readonly number[] {
  let sides = shape
  while (sides.length > 2 && sides.at(-1) === 1) sides = sides.slice(0, -1)
  while (sides.length > 2 && sides[0] === 1) sides = sides.slice(1)
  return sides
}

async function maskOfPicture(bytes: Uint8Array, name: string): Promise<PixelMap<Uint8Array>> {
  if (isJpeg(bytes))
    throw new FlowError(
      'ERR_FRAME',
      `${name}: is a JPEG picture, whose black is not exactly 0, so that it cannot be a mask: get the mask as PNG`,
    )
  try {
    const { data, width, height, channels } = (await decodeOwn(bytes)) ?? (await samplesBySharp(bytes))
    const mask = new Uint8Array(width * height)
    for (let i = 0; i < data.length; i++) if (data[i] !== 0) mask[Math.floor(i / channels)] = 1
    return { data: mask, width, height }
  } catch (cause) {
    throw undecodable(bytes, name, cause)
  }
}

/** All 16 bits: 1 of 65535 is black in 8 bits. */
async function samplesBySharp(bytes: Uint8Array) {
  const sharp = await loadSharp()
  const decoder = sharp(bytes, { ignoreIcc: true })
    .removeAlpha()
    .toColourspace('rgb16')
    .raw({ depth: 'ushort' })
  const { data, info } = await decoder.toBuffer({ resolveWithObject: true })
  const samples = new Uint16Array(data.buffer.slice(data.byteOffset, data.byteOffset + data.byteLength))
  return { data: samples, width: info.width, height: info.height, channels: info.channels }
}
