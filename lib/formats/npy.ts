import { FlowField } from '../flow-field.js'
import type { PixelMap } from '../request.js'
import { quoted } from '../support/quote.js'
import {
  concatBytes,
  damaged,
  decodeFloats,
  encodeFloats,
  type FloatType,
  fromInterleaved,
  toInterleaved,
} from './floats.js'

// The file: '\x93NUMPY', a version, the length of a header, the header (a Python dictionary literal, padded so that the
// data is aligned to 64 bytes), the data. https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
const MAGIC = [0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59]
const ALIGNMENT = 64
const LONGEST_HEADER = 4096

interface Header {
  readonly type: FloatType
  readonly order: 'C' | 'Fortran'
  readonly shape: readonly [number, number, number]
  readonly dataAt: number
}

/**
 * Reads optical flow from NumPy's `.npy`: float16, float32 or float64 of either byte order, in C or Fortran order, of shape
 * (H, W, 2) or (2, H, W). If both fit, it is (H, W, 2).
 *
 * @throws {FlowError} `ERR_FORMAT` if it is damaged, or of another type or shape.
 */
export function decodeNpy(bytes: Uint8Array): FlowField {
  const { type, order, shape, dataAt } = readHeader(bytes)
  const count = shape[0] * shape[1] * shape[2]
  if (bytes.length - dataAt !== count * type.size) {
    const expected = count * type.size
    throw damaged(
      '.npy',
      `(${shape}) takes ${expected} bytes of data, but there are ${bytes.length - dataAt}`,
    )
  }
  const values = decodeFloats(bytes.subarray(dataAt), type)

  // In C order the values are interleaved or already planar. Fortran order only differs by its strides.
  const channelsLast = shape[2] === 2
  const [height, width] = channelsLast ? [shape[0], shape[1]] : [shape[1], shape[2]]
  if (order === 'C') {
    return channelsLast ? fromInterleaved(width, height, values) : new FlowField(width, height, values)
  }
  return fromFortran(width, height, values, channelsLast ? 'last' : 'first')
}

/** Writes `.npy` of float32, shape (H, W, 2), C order: the layout of OpenCV's flow. */
export function encodeNpy(flow: FlowField): Uint8Array {
  const values = encodeFloats(toInterleaved(flow), 'little')
  return encodeArray('<f4', [flow.height, flow.width, 2], values)
}

/** Writes `.npy` of shape (H, W), C order: a mask as bool, any other map as float32. */
export function encodeMapNpy({ data, width, height }: PixelMap<Uint8Array | Float32Array>): Uint8Array {
  return data instanceof Uint8Array
    ? encodeArray('|b1', [height, width], data)
    : encodeArray('<f4', [height, width], encodeFloats(data, 'little'))
}

function encodeArray(descr: string, shape: readonly number[], values: Uint8Array): Uint8Array {
  const dictionary = `{'descr': '${descr}', 'fortran_order': False, 'shape': (${shape.join(', ')}), }`
  const prefix = MAGIC.length + 4
  const padding = ALIGNMENT - ((prefix + dictionary.length + 1) % ALIGNMENT)
  const text = `${dictionary}${' '.repeat(padding)}\n`

  const header = new Uint8Array(prefix + text.length)
  header.set([...MAGIC, 1, 0, text.length & 255, text.length >> 8])
  header.set(new TextEncoder().encode(text), prefix)
  return concatBytes(header, values)
}

function readHeader(bytes: Uint8Array): Header {
  if (bytes.length < 12 || MAGIC.some((byte, i) => bytes[i] !== byte))
    throw damaged('.npy', 'it has no NumPy header')
  const view = new DataView(bytes.buffer, bytes.byteOffset, 12)
  const version = view.getUint8(6)
  if (version < 1 || version > 3) throw damaged('.npy', `version ${version} is unknown`)
  const [textAt, length] = version === 1 ? [10, view.getUint16(8, true)] : [12, view.getUint32(8, true)]
  const dataAt = textAt + length
  if (length > LONGEST_HEADER || dataAt > bytes.length) throw damaged('.npy', `a header of ${length} bytes`)

  const text = String.fromCharCode(...bytes.subarray(textAt, dataAt))
  const [, descr = ''] = /'descr':\s?'([^']{1,16})'/.exec(text) ?? []
  const [, fortran = ''] = /'fortran_order':\s?(True|False)/.exec(text) ?? []
  const [, extents = ''] = /'shape':\s?\(([0-9, ]{1,64})\)/.exec(text) ?? []
  if (fortran === '') throw damaged('.npy', 'its header does not say fortran_order')
  return {
    type: readType(descr),
    order: fortran === 'True' ? 'Fortran' : 'C',
    shape: readShape(extents),
    dataAt,
  }
}

function readType(descr: string): FloatType {
  const [, order, size] = /^([<>])f([248])$/.exec(descr) ?? []
  if (order === undefined)
    throw damaged('.npy', `flow needs float16, float32 or float64, not ${quoted(descr)}`)
  return { size: size === '2' ? 2 : size === '4' ? 4 : 8, order: order === '<' ? 'little' : 'big' }
}

function readShape(extents: string): [number, number, number] {
  const [a, b, c, ...rest] = extents
    .split(',')
    .filter((part) => part.trim() !== '')
    .map(Number)
  const three = a !== undefined && b !== undefined && c !== undefined && rest.length === 0
  if (!three || !(a >= 1 && b >= 1 && c >= 1) || (a !== 2 && c !== 2)) {
    throw damaged('.npy', `flow needs shape (H, W, 2) or (2, H, W), not (${extents})`)
  }
  return [a, b, c]
}

/** Fortran order: the first axis varies fastest. */
function fromFortran(
  width: number,
  height: number,
  values: Float32Array,
  channels: 'first' | 'last',
): FlowField {
  const flow = new FlowField(width, height)
  const { x, y } = flow
  const step = channels === 'first' ? 2 : 1
  const toY = channels === 'first' ? 1 : width * height
  for (let row = 0; row < height; row++) {
    for (let column = 0; column < width; column++) {
      const from = step * (column * height + row)
      x[row * width + column] = values[from]!
      y[row * width + column] = values[from + toY]!
    }
  }
  return flow
}
