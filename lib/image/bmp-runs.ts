import { Undecodable } from './samples.js'

// The run-length encodings of BMP, for palettes of 256 colours (RLE8) and of 16 (RLE4): pairs of bytes. A count and a value are a
// run; RLE4's run alternates between the two halves of the value. After a 0 come the end of a row (0) or of the picture (1), a step
// to the right and up (2, two bytes), or as many values as they are (3 to 255), padded to an even number of bytes.
// https://learn.microsoft.com/windows/win32/gdi/bitmap-compression

const END_OF_ROW = 0
const END_OF_PICTURE = 1
const STEP = 2

/** Pixels of a run of two bytes. */
const LONGEST_RUN = 255

/** The picture whose runs are decoded. */
export interface RunSize {
  readonly width: number
  readonly height: number
  /** Of a value: 8 or 4. */
  readonly bits: number
}

/**
 * Decodes runs to positions in the palette, one byte each, rows from the bottom up. A pixel that the runs leave out is 0.
 *
 * @param bytes from the first run on
 * @throws {Undecodable} if a run leaves the picture, or the runs end before it does
 */
export function decodeRuns(bytes: Uint8Array, { width, height, bits }: RunSize): Uint8Array {
  // Checked before memory is allocated: a header may claim any size.
  if (width * height > LONGEST_RUN * bytes.length)
    throw damaged(`${bytes.length} bytes of runs cannot be ${width} x ${height} pixels`)
  const indices = new Uint8Array(width * height)
  let [column, row, at] = [0, 0, 0]
  const next = (): number => {
    const byte = bytes[at++]
    if (byte === undefined) throw damaged(`its runs end in row ${row + 1} of ${height}`)
    return byte
  }
  /** Draws `count` values, which `byteOf` gives by the number of the byte. */
  const draw = (count: number, byteOf: (i: number) => number): void => {
    if (row >= height || column + count > width) throw damaged(`a run leaves its row ${row + 1}`)
    for (let i = 0; i < count; i++, column++) {
      const byte = byteOf(bits === 8 ? i : i >> 1)
      indices[width * row + column] = bits === 8 ? byte : i % 2 === 0 ? byte >> 4 : byte & 15
    }
  }
  while (row < height) {
    const [count, value] = [next(), next()]
    if (count > 0) draw(count, () => value)
    else if (value === END_OF_PICTURE) break
    else if (value === END_OF_ROW) [column, row] = [0, row + 1]
    else if (value === STEP) {
      column += next()
      row += next()
      if (column > width || row >= height) throw damaged('a step leaves the picture')
    } else {
      const from = at
      at += 2 * Math.ceil((value * bits) / 16)
      if (at > bytes.length) next()
      draw(value, (i) => bytes[from + i]!)
    }
    // The last row may end without a mark.
    if (row === height - 1 && column === width && at >= bytes.length) break
  }
  return indices
}

function damaged(reason: string): Undecodable {
  return new Undecodable(`${reason}: it is damaged or cut short, get it again`)
}
