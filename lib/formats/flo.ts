import { FlowField } from '../flow-field.js'
import { checkBytes, checkField } from '../support/arguments.js'
import { concatBytes, damaged, decodeFloats, encodeFloats } from './floats.js'
import { isUnknown, markUnknown } from './unknown.js'

// The file: 'PIEH', int32 width, int32 height, then width * height pairs of float32 x and y, all little-endian.
// https://vision.middlebury.edu/flow/code/flow-code/README.txt
const MAGIC = 'PIEH'
const HEADER_BYTES = 12

/** Middlebury's mark of a pixel whose motion is unknown. */
const UNKNOWN = 1e10

/**
 * Reads a Middlebury `.flo` file. If one component of a pixel is NaN or of a magnitude of 1e9 or more, both become NaN.
 *
 * @throws {FlowError} `ERR_FORMAT` if it is not such a file, or if its length does not match the size in its header.
 */
export function decodeFlo(bytes: Uint8Array): FlowField {
  checkBytes(bytes)
  if (bytes.length < HEADER_BYTES || String.fromCharCode(...bytes.subarray(0, 4)) !== MAGIC) {
    throw damaged('.flo', `it does not begin with '${MAGIC}' and a size: get it again`)
  }
  const header = new DataView(bytes.buffer, bytes.byteOffset, HEADER_BYTES)
  const width = header.getInt32(4, true)
  const height = header.getInt32(8, true)
  const expected = HEADER_BYTES + 8 * width * height
  if (width < 1 || height < 1 || bytes.length !== expected) {
    throw damaged(
      '.flo',
      `${width} x ${height} takes ${expected} bytes, but there are ${bytes.length}: get it again`,
    )
  }
  const values = decodeFloats(bytes.subarray(HEADER_BYTES), { size: 4, order: 'little' })
  return markUnknown(FlowField.fromInterleaved(width, height, values))
}

/** Writes a Middlebury `.flo` file. A pixel whose motion is unknown (not finite, or 1e9 or more) is written as 1e10. */
export function encodeFlo(flow: FlowField): Uint8Array {
  checkField(flow, 'flow')
  const header = new Uint8Array(HEADER_BYTES)
  const view = new DataView(header.buffer)
  for (let i = 0; i < MAGIC.length; i++) view.setUint8(i, MAGIC.charCodeAt(i))
  view.setInt32(4, flow.width, true)
  view.setInt32(8, flow.height, true)

  const values = flow.toInterleaved()
  for (let i = 0; i < values.length; i += 2) {
    if (isUnknown(values[i]!, values[i + 1]!)) values.fill(UNKNOWN, i, i + 2)
  }
  return concatBytes(header, encodeFloats(values, 'little'))
}
