import type { FloatType } from '../floats.js'
import { damagedHdf5, FileBytes } from './bytes.js'
import { findInRoot } from './groups.js'
import { findMessage, MESSAGE, type Message, readMessages } from './headers.js'

/** A dataset as its header describes it. Nothing of this is true yet. */
export interface Dataset {
  readonly shape: readonly number[]
  readonly type: FloatType
  readonly layout: Layout
  /** In the order in which they were applied. */
  readonly filters: readonly Filter[]
}

export type Layout =
  | { readonly kind: 'contiguous'; readonly at: number; readonly size: number }
  | { readonly kind: 'chunked'; readonly indexAt: number; readonly chunk: readonly number[] }

export type Filter = 'deflate' | 'shuffle' | 'fletcher32'

/** Reads the header of the dataset `name` of the root group. */
export function readDatasetHeader(file: FileBytes, name: string): Dataset {
  const messages = readMessages(file, findInRoot(file, name))
  const shape = readShape(file, findMessage(messages, MESSAGE.dataspace, 'shape'))
  const type = readType(file, findMessage(messages, MESSAGE.datatype, 'type'))
  const layout = readLayout(file, findMessage(messages, MESSAGE.layout, 'layout'), shape.length, type.size)
  const filters = messages.filter((message) => message.type === MESSAGE.filters)
  return { shape, type, layout, filters: filters.flatMap((message) => readFilters(file, message)) }
}

/** IV.A.2.b */
function readShape(file: FileBytes, { at }: Message): number[] {
  const version = file.u8(at)
  if (version !== 1 && version !== 2) throw damagedHdf5(`dataspace version ${version} is unknown`)
  const dimensionsAt = at + (version === 1 ? 8 : 4)
  return Array.from({ length: file.u8(at + 1) }, (_, i) => file.u64(dimensionsAt + 8 * i))
}

/** IV.A.2.d: IEEE 754 floats only, told by the width of their exponent. */
function readType(file: FileBytes, { at }: Message): FloatType {
  const FLOATING_POINT = 1
  const size = file.u32(at + 4)
  const exponent = file.u8(at + 13)
  const ieee =
    (size === 2 && exponent === 5) || (size === 4 && exponent === 8) || (size === 8 && exponent === 11)
  const order = file.u8(at + 1) & 0x41
  if ((file.u8(at) & 15) !== FLOATING_POINT || !ieee || order > 1) {
    throw damagedHdf5('flow needs float16, float32 or float64')
  }
  return { size, order: order === 0 ? 'little' : 'big' }
}

/** IV.A.2.i, versions 3 and 4 */
function readLayout(file: FileBytes, { at }: Message, rank: number, elementBytes: number): Layout {
  const version = file.u8(at)
  const kind = file.u8(at + 1)
  if (version < 3) throw damagedHdf5(`data layout version ${version} is not supported`)
  if (version > 4 || (version === 4 && kind === 2)) {
    throw damagedHdf5("its layout is of HDF5's 'latest' kind; rewrite it with h5repack --high=V18")
  }
  if (kind === 0) return { kind: 'contiguous', at: at + 4, size: file.u16(at + 2) }
  if (kind === 1) return { kind: 'contiguous', at: file.u64(at + 2), size: file.u64(at + 10) }
  if (kind !== 2) throw damagedHdf5(`data layout class ${kind} is not supported`)
  // The element counts as one more axis.
  const axes = file.u8(at + 2)
  const chunk = Array.from({ length: rank }, (_, i) => file.u32(at + 11 + 4 * i))
  const empty = chunk.some((side) => side < 1)
  if (axes !== rank + 1 || empty || file.u32(at + 11 + 4 * rank) !== elementBytes) {
    throw damagedHdf5('its chunks do not fit its shape and type')
  }
  return { kind: 'chunked', indexAt: file.u64(at + 3), chunk }
}

/** IV.A.2.l */
function readFilters(file: FileBytes, message: Message): Filter[] {
  const version = file.u8(message.at)
  if (version !== 1 && version !== 2) throw damagedHdf5(`filter pipeline version ${version} is unknown`)
  let at = message.at + (version === 1 ? 8 : 2)
  return Array.from({ length: file.u8(message.at + 1) }, () => {
    const id = file.u16(at)
    const nameBytes = version === 1 ? file.u16(at + 2) : 0
    const parameters = file.u16(at + (version === 1 ? 6 : 4))
    const padded = version === 1 ? parameters + (parameters % 2) : parameters
    at += (version === 1 ? 8 : 6) + nameBytes + 4 * padded
    return filterOf(id)
  })
}

function filterOf(id: number): Filter {
  if (id === 1) return 'deflate'
  if (id === 2) return 'shuffle'
  if (id === 3) return 'fletcher32'
  throw damagedHdf5(`filter ${id} is not supported; rewrite it with h5repack --filter=GZIP=5`)
}
