import { isUint8Array } from '../support/brands.js'

/** The samples of a picture as its file has them: not turned, not converted to a colour space. */
export interface Samples {
  readonly width: number
  readonly height: number
  /** 1 is gray, 3 is RGB. */
  readonly channels: 1 | 3
  /** `channels * width * height` values from 0 to `white`, interleaved, rows from the top. */
  readonly data: Uint8Array | Uint16Array
  readonly white: number
}

/** Why a decoder of this package refuses a file: `decodePicture` puts the file's name in front. */
export class Undecodable extends Error {
  override readonly name = 'Undecodable'
}

/** Limit on the pixels of a picture: that of `sharp`. */
const MOST_PIXELS = 0x3fff * 0x3fff

/** @throws {Undecodable} for a size that no picture has; called before memory is allocated */
export function checkSize(width: number, height: number): void {
  if (width >= 1 && height >= 1 && width * height <= MOST_PIXELS) return
  throw new Undecodable(
    `its header says ${width} x ${height} pixels, and ${MOST_PIXELS} are the most: get the file again`,
  )
}

/** Samples rounded to 8 bits. */
export function toBytes({ data, white }: Samples): Uint8Array {
  if (isUint8Array(data) && white === 255) return data
  const bytes = new Uint8Array(data.length)
  for (let i = 0; i < data.length; i++) bytes[i] = Math.round((255 * data[i]!) / white)
  return bytes
}
