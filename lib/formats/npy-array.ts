import { latin1 } from '../support/file-kind.js'
import { quoted } from '../support/quote.js'
import { concatBytes, damaged, type FloatType } from './floats.js'

// The file: '\x93NUMPY', a version, the length of a header, the header (a Python dictionary literal, padded so that the
// data is aligned to 64 bytes), the data. https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
const MAGIC = '\x93NUMPY'
const ALIGNMENT = 64
const LONGEST_HEADER = 65_536
const MOST_AXES = 8

/** How an array stores one element. */
export type NpyType =
  ({ readonly kind: 'float' } & FloatType) | { readonly kind: 'integer'; readonly size: number }

/** An array, its elements still in the file's bytes. */
export interface NpyArray {
  readonly type: NpyType
  /** In Fortran order the first axis varies fastest, in C order the last. */
  readonly order: 'C' | 'Fortran'
  readonly shape: readonly number[]
  /** Elements: the product of `shape`. */
  readonly count: number
  /** The bytes of all elements. */
  readonly data: Uint8Array
}

/**
 * Reads the header of a NumPy file, version 1 to 3. Arrays of objects, which are pickles, are refused.
 *
 * @param purpose what the array is for, in error messages: `flow`, `a mask`
 * @throws {FlowError} `ERR_FORMAT` if it is damaged, cut short, or of elements that are no numbers
 */
export function readNpyArray(bytes: Uint8Array, purpose: string): NpyArray {
  if (bytes.length < 12 || latin1(bytes.subarray(0, MAGIC.length)) !== MAGIC)
    throw damaged('.npy', 'it has no NumPy header: write it with numpy.save')
  const view = new DataView(bytes.buffer, bytes.byteOffset, 12)
  const version = view.getUint8(6)
  if (version < 1 || version > 3)
    throw damaged('.npy', `version ${version} is unknown: save it again with numpy.save`)
  const [textAt, length] = version === 1 ? [10, view.getUint16(8, true)] : [12, view.getUint32(8, true)]
  const dataAt = textAt + length
  if (length > LONGEST_HEADER || dataAt > bytes.length)
    throw damaged('.npy', `a header of ${length} bytes is cut short: get the file again`)

  const text = latin1(bytes.subarray(textAt, dataAt))
  const [, descr] = /['"]descr['"]\s*:\s*['"]([^'"]{1,16})['"]/.exec(text) ?? []
  const [, fortran] = /['"]fortran_order['"]\s*:\s*(True|False)/.exec(text) ?? []
  const [, extents] = /['"]shape['"]\s*:\s*\(([0-9L,\s]{0,160})\)/.exec(text) ?? []
  if (descr === undefined && /['"]descr['"]\s*:\s*\[/.test(text))
    throw damaged(
      '.npy',
      `it is a structured array, and ${purpose} needs plain numbers: save one field as an array`,
    )
  if (descr === undefined || fortran === undefined || extents === undefined)
    throw damaged('.npy', 'its header lacks descr, fortran_order or shape: save it again with numpy.save')
  const type = readType(descr, purpose)
  const shape = readShape(extents)
  const count = shape.reduce((product, extent) => product * extent, 1)
  if (bytes.length - dataAt !== count * type.size)
    throw damaged(
      '.npy',
      `(${shape.join(', ')}) of ${descr} takes ${count * type.size} bytes of data, but there are ${bytes.length - dataAt}: get the file again`,
    )
  return { type, order: fortran === 'True' ? 'Fortran' : 'C', shape, count, data: bytes.subarray(dataAt) }
}

/** The bytes of a NumPy file in C order. */
export function writeNpyArray(descr: string, shape: readonly number[], values: Uint8Array): Uint8Array {
  const dictionary = `{'descr': '${descr}', 'fortran_order': False, 'shape': (${shape.join(', ')}), }`
  const prefix = MAGIC.length + 4
  const padding = ALIGNMENT - ((prefix + dictionary.length + 1) % ALIGNMENT)
  const text = `${dictionary}${' '.repeat(padding)}\n`
  const header = Buffer.from(
    `${MAGIC}\x01\0${String.fromCharCode(text.length & 255, text.length >> 8)}${text}`,
    'latin1',
  )
  return concatBytes(header, values)
}

/** Elements of a Fortran-ordered array, put in C order. Those of another array are returned as they are. */
export function inCOrder<T extends Float32Array | Uint8Array>(values: T, { order, shape }: NpyArray): T {
  if (order === 'C' || shape.length < 2) return values
  const steps = shape.map((_, axis) => shape.slice(0, axis).reduce((product, extent) => product * extent, 1))
  const index = shape.map(() => 0)
  const result = values.slice() as T
  let from = 0
  for (let to = 0; to < values.length; to++) {
    result[to] = values[from]!
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      from += steps[axis]!
      index[axis]! += 1
      if (index[axis]! < shape[axis]!) break
      from -= steps[axis]! * shape[axis]!
      index[axis] = 0
    }
  }
  return result
}

function readType(descr: string, purpose: string): NpyType {
  const [, order, kind, digits] = /^([<>=|])([fiub])(\d)$/.exec(descr) ?? []
  const size = Number(digits)
  if (kind === 'f' && (size === 2 || size === 4 || size === 8))
    return { kind: 'float', size, order: order === '>' ? 'big' : 'little' }
  if (kind !== 'f' && [1, 2, 4, 8].includes(size)) return { kind: 'integer', size }
  const objects = descr.endsWith('O') ? ' (Python objects, which are never unpickled)' : ''
  throw damaged(
    '.npy',
    `${purpose} needs an array of numbers, not ${quoted(descr)}${objects}: ${/^[<>]c/.test(descr) ? 'save np.stack([a.real, a.imag], -1) of a complex one' : "convert it, such as with astype('float32')"}`,
  )
}

function readShape(extents: string): number[] {
  const shape = extents
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '')
    // Python 2 wrote long integers with an L.
    .map((part) => Number(part.replace(/L$/, '')))
  if (shape.length > MOST_AXES || !shape.every((extent) => Number.isSafeInteger(extent)))
    throw damaged('.npy', `its shape ${quoted(`(${extents})`)} is damaged: save it again with numpy.save`)
  return shape
}
