import { extname } from 'node:path'
import { FlowError } from '../errors.js'
import type { FlowField } from '../flow-field.js'
import { checkBytes } from '../support/arguments.js'
import { kindOf, latin1 } from '../support/file-kind.js'
import { toPath } from '../support/file-path.js'
import { shortPath, shown } from '../support/quote.js'
import { readWhole, refuseFolder, STANDARD_INPUT } from '../support/read-file.js'
import { writeWhole } from '../support/write-file.js'
import { decodeFlo, encodeFlo } from './flo.js'
import { decodeFlo5, encodeFlo5 } from './flo5.js'
import { decodeKitti, encodeKitti, type PngCodeOptions } from './kitti.js'
import { decodeNpy, encodeNpy } from './npy.js'
import { decodeNpz } from './npz.js'
import { decodePfmFlow, encodePfmFlow } from './pfm.js'

export { decodeFlo, encodeFlo } from './flo.js'
export { decodeFlo5, encodeFlo5 } from './flo5.js'
export type { ByteOrder } from './floats.js'
export { decodeKitti, encodeKitti, PNG_CODES, type PngCode, type PngCodeOptions } from './kitti.js'
export { writeMap } from './map.js'
export { readMask } from './mask.js'
export { decodeNpy, encodeNpy } from './npy.js'
export { decodeNpz } from './npz.js'
export { decodePfm, decodePfmFlow, encodePfmFlow, type FloatImage } from './pfm.js'

/** The flow formats that are read and written: Middlebury, KITTI, FlyingThings3D, NumPy, Spring. */
export type FlowFormat = 'flo' | 'kitti' | 'pfm' | 'npy' | 'flo5'

export interface WriteFlowOptions {
  /** Default: the format that the file's extension names. */
  readonly format?: FlowFormat | undefined
}

/** Options of reading: the code of a 16-bit PNG. */
export type ReadFlowOptions = PngCodeOptions

interface Codec {
  readonly extension: string
  /** First bytes of every file of this format. */
  readonly magic: string
  readonly decode: (bytes: Uint8Array, options: ReadFlowOptions) => FlowField | Promise<FlowField>
}

interface WritingCodec extends Codec {
  readonly encode: (flow: FlowField) => Uint8Array | Promise<Uint8Array>
}

const WRITTEN: Readonly<Record<FlowFormat, WritingCodec>> = {
  flo: { extension: '.flo', magic: 'PIEH', decode: decodeFlo, encode: encodeFlo },
  kitti: { extension: '.png', magic: '\x89PNG', decode: decodeKitti, encode: encodeKitti },
  pfm: { extension: '.pfm', magic: 'PF', decode: decodePfmFlow, encode: (flow) => encodePfmFlow(flow) },
  npy: { extension: '.npy', magic: '\x93NUMPY', decode: decodeNpy, encode: encodeNpy },
  flo5: { extension: '.flo5', magic: '\x89HDF', decode: decodeFlo5, encode: encodeFlo5 },
}

const READ: Readonly<Record<FlowFormat | 'npz', Codec>> = {
  ...WRITTEN,
  npz: { extension: '.npz', magic: 'PK\x03\x04', decode: decodeNpz },
}

/** Every format that is read and written, in the order of the documentation. `.npz` is only read. */
export const FLOW_FORMATS = Object.keys(WRITTEN) as readonly FlowFormat[]

/**
 * Reads a flow file: `.flo`, KITTI's `.png`, `.pfm`, `.npy`, `.npz` or `.flo5`; the path `-` is standard input, in any of these
 * formats. Unknown flow becomes NaN, both components, whatever the file marks it with: NaN, infinity, a component of 1e9 or more,
 * or what its format has for it.
 *
 * @throws {FlowError} `ERR_FORMAT` for another extension, for a file of another format than its extension names, for a
 *   damaged file, and for a compressed file (KITTI, `.npz`, `.flo5`) of more than 2^26 pixels; `ERR_IO` if it cannot be read;
 *   `ERR_ARGUMENT` for a URL other than a file: URL, or an unknown `pngCode`; `ERR_NATIVE` if KITTI's `.png` is read and `sharp`
 *   cannot be loaded.
 */
export async function readFlow(file: string | URL, options: ReadFlowOptions = {}): Promise<FlowField> {
  const path = toPath(file, 'file')
  const role = {
    name: path === STANDARD_INPUT ? 'standard input' : shortPath(path),
    expected: 'a flow file',
    code: 'ERR_FORMAT',
  } as const
  const { name } = role
  await refuseFolder(path, role)
  const format = path === STANDARD_INPUT ? undefined : formatOfPath(path, READ)
  const bytes = await readWhole(path, role)
  try {
    if (format === undefined) return await decodeFlow(bytes, options)
    const { extension, decode } = READ[format]
    const found = sniff(bytes)
    if (found !== undefined && found !== format)
      throw new FlowError('ERR_FORMAT', `its content is ${found}, rename it to ${READ[found].extension}`)
    // A gray PFM is told apart by its decoder.
    if (found === undefined && !(format === 'pfm' && latin1(bytes.subarray(0, 2)) === 'Pf'))
      throw new FlowError('ERR_FORMAT', `is ${kindOf(bytes)}, not a ${extension} file of flow: get it again`)
    return await decode(bytes, options)
  } catch (error) {
    if (!(error instanceof FlowError)) throw error
    throw new FlowError(error.code, `${name}: ${error.message}`, { cause: error })
  }
}

/**
 * Writes a flow file in the format that its extension names. The file appears complete or not at all.
 *
 * @throws {FlowError} `ERR_FORMAT` for an unknown extension; `ERR_IO` if it cannot be written; `ERR_ARGUMENT` for a URL
 *   other than a file: URL; `ERR_NATIVE` if a library that the format needs fails.
 */
export async function writeFlow(
  file: string | URL,
  flow: FlowField,
  options: WriteFlowOptions = {},
): Promise<void> {
  const path = toPath(file, 'file')
  const bytes = await encodeFlow(flow, options.format ?? formatOfPath(path, WRITTEN))
  await writeWhole(path, bytes)
}

/**
 * Reads the bytes of a flow file. The format is detected from the first bytes.
 *
 * @throws {FlowError} `ERR_FORMAT` if they are of no known format, or damaged.
 */
export async function decodeFlow(bytes: Uint8Array, options: ReadFlowOptions = {}): Promise<FlowField> {
  checkBytes(bytes)
  const format = sniff(bytes)
  if (format === undefined)
    throw new FlowError(
      'ERR_FORMAT',
      `is ${kindOf(bytes)}, not a flow file: give one of ${Object.keys(READ).join(', ')}`,
    )
  return READ[format].decode(bytes, options)
}

/**
 * The bytes of a flow file.
 *
 * @throws {FlowError} `ERR_ARGUMENT` for an unknown format.
 */
export async function encodeFlow(flow: FlowField, format: FlowFormat): Promise<Uint8Array> {
  if (!FLOW_FORMATS.includes(format)) {
    throw new FlowError(
      'ERR_ARGUMENT',
      `unknown flow format ${shown(format)}: known are ${FLOW_FORMATS.join(', ')}`,
    )
  }
  return WRITTEN[format].encode(flow)
}

function formatOfPath<Format extends string>(path: string, codecs: Readonly<Record<Format, Codec>>): Format {
  const extension = extname(path).toLowerCase()
  const formats = Object.keys(codecs) as Format[]
  const format = formats.find((candidate) => codecs[candidate].extension === extension)
  if (format !== undefined) return format
  const known = formats.map((candidate) => codecs[candidate].extension).join(', ')
  const given = extension === '' ? 'and this has no extension' : `not '${shortPath(extension, 20)}'`
  throw new FlowError('ERR_FORMAT', `${shortPath(path)}: flow files end in ${known}, ${given}`)
}

function sniff(bytes: Uint8Array): FlowFormat | 'npz' | undefined {
  const start = latin1(bytes.subarray(0, 8))
  return (Object.keys(READ) as (FlowFormat | 'npz')[]).find((format) => start.startsWith(READ[format].magic))
}
