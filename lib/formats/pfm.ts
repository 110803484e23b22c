import { FlowField } from '../flow-field.js'
import { allocateFloats } from '../support/allocate.js'
import { checkBytes, checkField } from '../support/arguments.js'
import { latin1 } from '../support/file-kind.js'
import { type ByteOrder, concatBytes, damaged, decodeFloats, encodeFloats } from './floats.js'
import { markUnknown } from './unknown.js'

// The file: 'PF' (colour) or 'Pf' (grey), width, height and a scale as text, then float32 rows from the bottom up. The
// sign of the scale gives the byte order: negative is little-endian. https://www.pauldebevec.com/Research/HDR/PFM/
//
// Tools end the lines in '\n' or '\r\n', leave blanks there, and some write comments, from '#' to the end of the line. The
// samples may begin with bytes that look like any of these, so where they begin is known from their length alone.
const GAP = /(?:[\t-\r ]|#[^\n]*\n)/
const HEADER = new RegExp(
  `^(PF|Pf)${GAP.source}+(\\d{1,9})${GAP.source}+(\\d{1,9})${GAP.source}+([-+]?[0-9.]{1,20}(?:[eE][-+]?\\d{1,3})?)(?=[\\t-\\r #])`,
)
const LAST_GAP = new RegExp(`^${GAP.source}+$`)
const LONGEST_HEADER = 65_536

/** A picture of floats: `data` is interleaved, `channels * width * height` values, the top row first. */
export interface FloatImage {
  readonly width: number
  readonly height: number
  readonly channels: 1 | 3
  readonly data: Float32Array
}

/**
 * Reads any PFM file, of either byte order, grey (a disparity, a depth) or colour. Values are as stored: the magnitude of
 * the header's scale, which gives the unit, is not applied.
 *
 * @throws {FlowError} `ERR_FORMAT` if it is not a PFM file, or if its length does not match the size in its header.
 */
export function decodePfm(bytes: Uint8Array): FloatImage {
  checkBytes(bytes)
  const start = latin1(bytes.subarray(0, LONGEST_HEADER))
  const match = HEADER.exec(start)
  const [header = '', kind = '', columns = '', rows = '', scale = ''] = match ?? []
  if (match === null || !(Math.abs(Number(scale)) > 0))
    throw damaged('PFM', 'it has no PFM header: get it again')

  const channels = kind === 'PF' ? 3 : 1
  const width = Number(columns)
  const height = Number(rows)
  const expected = 4 * channels * width * height
  const dataAt = bytes.length - expected
  const gap = dataAt > start.length ? '' : start.slice(header.length, Math.max(dataAt, 0))
  if (width < 1 || height < 1 || !LAST_GAP.test(gap)) {
    throw damaged(
      'PFM',
      `${width} x ${height} x ${channels} takes ${expected} bytes behind a header of ${header.length + 1}, but the file has ` +
        `${bytes.length}: it is cut short or longer, get it again`,
    )
  }
  const order: ByteOrder = Number(scale) < 0 ? 'little' : 'big'
  const values = decodeFloats(bytes.subarray(dataAt), { size: 4, order })
  return { width, height, channels, data: flipRows(values, channels * width) }
}

/**
 * Reads optical flow from a colour PFM with the channels x, y and any third one, as in FlyingThings3D. Unknown flow
 * (not finite, or 1e9 or more) becomes NaN.
 *
 * @throws {FlowError} `ERR_FORMAT` if it is damaged, or grey: one channel cannot hold flow.
 */
export function decodePfmFlow(bytes: Uint8Array): FlowField {
  const { width, height, channels, data } = decodePfm(bytes)
  if (channels === 1)
    throw damaged('PFM flow', 'it is grey (a disparity?), and flow needs x and y: give the colour file')
  const flow = new FlowField(width, height)
  const { x, y } = flow
  for (let i = 0; i < x.length; i++) {
    x[i] = data[3 * i]!
    y[i] = data[3 * i + 1]!
  }
  return markUnknown(flow)
}

/** Writes optical flow as a colour PFM: x, y, 0. */
export function encodePfmFlow(flow: FlowField, order: ByteOrder = 'little'): Uint8Array {
  checkField(flow, 'flow')
  const { width, height, x, y } = flow
  const values = allocateFloats(3 * width * height, 'the copy of a flow field')
  for (let i = 0; i < x.length; i++) {
    values[3 * i] = x[i]!
    values[3 * i + 1] = y[i]!
  }
  const header = `PF\n${width} ${height}\n${order === 'little' ? '-1.0' : '1.0'}\n`
  return concatBytes(Buffer.from(header), encodeFloats(flipRows(values, 3 * width), order))
}

function flipRows(values: Float32Array, rowLength: number): Float32Array {
  const flipped = allocateFloats(values.length, `a copy of ${values.length} values`)
  for (let at = 0; at < values.length; at += rowLength) {
    flipped.set(values.subarray(at, at + rowLength), values.length - at - rowLength)
  }
  return flipped
}
