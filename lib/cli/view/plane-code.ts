// The code of planes of integers in a page of `view`. Each value is predicted from its neighbours to the left, above, and above
// to the left, and the difference is stored; the bytes of the differences are sorted by their weight. Deflate then finds
// little but small numbers and zeros. Nothing here needs Node: pages decode with the same file.

/** A plane's code: `bytes` bytes per value, the lowest byte of every value, then the next ones. */
export interface PlaneCode {
  readonly code: Uint8Array
  readonly bytes: number
}

/**
 * Codes a plane of 32-bit integers.
 *
 * @param unknown 1 for each value that does not matter: its difference is stored as 0
 */
export function packPlane(values: Int32Array, columns: number, unknown?: Uint8Array): PlaneCode {
  const plane = Int32Array.from(values)
  const differences = new Uint32Array(plane.length)
  let largest = 0
  for (let i = 0; i < plane.length; i++) {
    const predicted = predict(plane, i, i % columns, columns)
    if (unknown?.[i] === 1) plane[i] = predicted
    // Wraps around, as the sum of the decoder does. The sign goes to the lowest bit, so that small differences are small numbers.
    const difference = (plane[i]! - predicted) | 0
    const folded = ((difference << 1) ^ (difference >> 31)) >>> 0
    differences[i] = folded
    if (folded > largest) largest = folded
  }
  const bytes = largest < 2 ** 8 ? 1 : largest < 2 ** 16 ? 2 : largest < 2 ** 24 ? 3 : 4
  const code = new Uint8Array(bytes * plane.length)
  for (let byte = 0; byte < bytes; byte++)
    for (let i = 0; i < plane.length; i++) code[byte * plane.length + i] = differences[i]! >>> (8 * byte)
  return { code, bytes }
}

/** The inverse of {@link packPlane}. */
export function unpackPlane({ code, bytes }: PlaneCode, columns: number): Int32Array {
  const plane = new Int32Array(code.length / bytes)
  for (let byte = 0, at = 0; byte < bytes; byte++)
    for (let i = 0; i < plane.length; i++) plane[i]! |= code[at++]! << (8 * byte)
  for (let i = 0, column = 0; i < plane.length; i++) {
    const folded = plane[i]!
    plane[i] = predict(plane, i, column, columns) + ((folded >>> 1) ^ -(folded & 1))
    if (++column === columns) column = 0
  }
  return plane
}

/**
 * The median predictor of LOCO-I (Weinberger, Seroussi & Sapiro, IEEE Transactions on Image Processing 2000, section III.A):
 * the plane through the three neighbours, or, at an edge, the neighbour on this side of it.
 */
function predict(plane: Int32Array, i: number, column: number, columns: number): number {
  if (i < columns) return column === 0 ? 0 : plane[i - 1]!
  const above = plane[i - columns]!
  if (column === 0) return above
  const left = plane[i - 1]!
  const corner = plane[i - columns - 1]!
  const [low, high] = left < above ? [left, above] : [above, left]
  if (corner >= high) return low
  if (corner <= low) return high
  return (left + above - corner) | 0
}
