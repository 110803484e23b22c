import { FlowError } from '../errors.js'
import type { NativeDLPack } from '../native/contract.js'
import { type TensorDType, dtypeRow } from './dtype.js'
import { checkShape, extentOf, type Layout, stridedLayout } from './layout.js'

/** The `DLDataType` of each type: its code, and its bits. */
const TYPES: { readonly [D in TensorDType]: { readonly code: number; readonly bits: number } } = {
  float32: { code: 2, bits: 32 },
  float16: { code: 2, bits: 16 },
  bfloat16: { code: 4, bits: 16 },
  uint8: { code: 1, bits: 8 },
}

const CODES = ['int', 'uint', 'float', 'opaque handle', 'bfloat', 'complex', 'bool']

/** `DLDeviceType`s whose memory an engine may use: the host, CUDA, page-locked and managed memory. */
const DEVICES = [1, 2, 3, 13]

/** Those of the host. */
const HOSTS = [1, 3]

/** A tensor of another module, after its checks. */
export interface Borrowed {
  readonly dtype: TensorDType
  readonly layout: Layout
  /** From the first value to the end of the last one. */
  readonly bytes: number
  readonly readOnly: boolean
  /** Whether it is in memory of the host, page-locked or not. */
  readonly onHost: boolean
}

export function dlpackType(dtype: TensorDType): { readonly code: number; readonly bits: number } {
  return TYPES[dtype]
}

/** @throws {FlowError} `ERR_ARGUMENT` for a tensor that is not read */
export function checkDLPack({
  deviceType,
  pointer,
  shape,
  strides,
  readOnly,
  ...type
}: NativeDLPack): Borrowed {
  if (!DEVICES.includes(deviceType))
    throw refusal(
      `is on a device of DLPack's type ${deviceType}: only the host (1, 3) and CUDA (2, 13) are read`,
    )
  const dtype = dtypeOf(type)
  const layout = stridedLayout(checkShape(shape), strides)
  const size = dtypeRow(dtype).bytes
  const bytes = size * extentOf(layout)
  if (pointer === 0n) throw refusal('has no address, and is not empty')
  if (bytes > Number.MAX_SAFE_INTEGER || pointer + BigInt(bytes) > 2n ** 64n)
    throw refusal(`takes ${bytes} bytes from ${pointer} on, which no memory has`)
  if (pointer % BigInt(size) !== 0n)
    throw refusal(`begins at ${pointer}, which is no multiple of ${size} as values of ${dtype} need it`)
  return { dtype, layout, bytes, readOnly, onHost: HOSTS.includes(deviceType) }
}

function dtypeOf({ code, bits, lanes }: Pick<NativeDLPack, 'code' | 'bits' | 'lanes'>): TensorDType {
  const names = Object.keys(TYPES) as TensorDType[]
  const dtype = names.find((name) => TYPES[name].code === code && TYPES[name].bits === bits)
  if (dtype !== undefined && lanes === 1) return dtype
  const vectors = lanes === 1 ? '' : ` in vectors of ${lanes}`
  throw refusal(
    `has values of ${CODES[code] ?? `type ${code}, `}${bits}${vectors}: only ${names.join(', ')} are read`,
  )
}

function refusal(what: string): FlowError {
  return new FlowError('ERR_ARGUMENT', `capsule: its tensor ${what}`)
}
