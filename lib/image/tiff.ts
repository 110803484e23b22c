import { latin1 } from '../support/file-kind.js'
import { allocateBytes } from '../support/allocate.js'
import { type Samples, Undecodable } from './samples.js'
import { loadSharp } from './sharp.js'

/** Half a step of 8 bits: a float that far outside 0 to 1 is a rounding error. */
const TOLERANCE = 1 / 512

/** Whether a file's first bytes are those of a TIFF, BigTIFF included. */
export function looksLikeTiff(bytes: Uint8Array): boolean {
  return /^(?:II[*+]\0|MM\0[*+])/.test(latin1(bytes.subarray(0, 4)))
}

/**
 * Decodes a TIFF of floats from 0 to 1: 0 is black, 1 is 255, without a gamma curve. The conversion of `sharp` takes gray floats
 * for 0 to 255, and colours for linear light.
 *
 * @returns undefined if its samples are 8 or 16 bits wide without a sign, which `sharp` converts well
 * @throws {Undecodable} for floats outside 0 to 1, and for any other type of sample
 */
export async function decodeTiffFloats(bytes: Uint8Array): Promise<Samples | undefined> {
  const sharp = await loadSharp()
  const { depth, space } = await sharp(bytes, { failOn: 'none' }).metadata()
  if (depth === 'uchar' || depth === 'ushort') return undefined
  if (depth !== 'float' || (space !== 'b-w' && space !== 'scrgb'))
    throw new Undecodable(
      `its samples are of type ${depth} (${space}); read are unsigned integers of 8 and 16 bits, and float32 from 0 to 1: ` +
        'save it with 8 or 16 bits',
    )
  // The colour space of the file itself, so that nothing is converted.
  const decoder = sharp(bytes, { failOn: 'truncated' })
    .autoOrient()
    .toColourspace(space)
    .removeAlpha()
    .raw({ depth: 'float' })
  const { data: raw, info } = await decoder.toBuffer({ resolveWithObject: true })
  const channels = info.channels === 1 ? 1 : 3
  const values = new Float32Array(raw.buffer.slice(raw.byteOffset, raw.byteOffset + raw.byteLength))
  const data = allocateBytes(values.length, 'a picture')
  let [least, most] = [Infinity, -Infinity]
  for (let i = 0; i < values.length; i++) {
    const value = values[i]!
    // Written so that NaN is not in the range.
    if (!(value >= -TOLERANCE && value <= 1 + TOLERANCE))
      [least, most] = [Math.min(least, value), Math.max(most, value)]
    data[i] = Math.min(Math.max(Math.round(255 * value), 0), 255)
  }
  if (most !== -Infinity || Number.isNaN(least))
    throw new Undecodable(
      `it holds floats outside 0 to 1, such as ${most}, and only 0 to 1 has one meaning: save it with 8 or 16 bits`,
    )
  return { width: info.width, height: info.height, channels, white: 255, data }
}
