import { readFile } from 'node:fs/promises'
import { extname } from 'node:path'
import { FlowError } from '../errors.js'
import type { FlowField } from '../flow-field.js'
import { toPath } from '../support/file-path.js'
import { ioError } from '../support/io-error.js'
import { writeWhole } from '../support/write-file.js'
import { decodeFlo, encodeFlo } from './flo.js'
import { decodeFlo5, encodeFlo5 } from './flo5.js'
import { decodeKitti, encodeKitti } from './kitti.js'
import { decodeNpy, encodeNpy } from './npy.js'
import { decodePfmFlow, encodePfmFlow } from './pfm.js'

export { decodeFlo, encodeFlo } from './flo.js'
export { decodeFlo5, encodeFlo5 } from './flo5.js'
export type { ByteOrder } from './floats.js'
export { decodeKitti, encodeKitti } from './kitti.js'
export { writeMap } from './map.js'
export { decodeNpy, encodeNpy } from './npy.js'
export { decodePfm, decodePfmFlow, encodePfmFlow, type FloatImage } from './pfm.js'

/** The flow formats: Middlebury, KITTI, FlyingThings3D, NumPy, Spring. */
export type FlowFormat = 'flo' | 'kitti' | 'pfm' | 'npy' | 'flo5'

export interface WriteFlowOptions {
  /** Default: the format that the file's extension names. */
  readonly format?: FlowFormat | undefined
}

interface Codec {
  readonly extension: string
  /** First bytes of every file of this format. */
  readonly magic: string
  readonly decode: (bytes: Uint8Array) => FlowField | Promise<FlowField>
  readonly encode: (flow: FlowField) => Uint8Array | Promise<Uint8Array>
}

const CODECS: Readonly<Record<FlowFormat, Codec>> = {
  flo: { extension: '.flo', magic: 'PIEH', decode: decodeFlo, encode: encodeFlo },
  kitti: { extension: '.png', magic: '\x89PNG', decode: decodeKitti, encode: encodeKitti },
  pfm: { extension: '.pfm', magic: 'PF', decode: decodePfmFlow, encode: (flow) => encodePfmFlow(flow) },
  npy: { extension: '.npy', magic: '\x93NUMPY', decode: decodeNpy, encode: encodeNpy },
  flo5: { extension: '.flo5', magic: '\x89HDF', decode: decodeFlo5, encode: encodeFlo5 },
}

/** Every format, in the order of the documentation. */
export const FLOW_FORMATS = Object.keys(CODECS) as readonly FlowFormat[]

/**
 * Reads a flow file: `.flo`, KITTI's `.png`, `.pfm`, `.npy` or `.flo5`. Unknown flow becomes NaN for every format.
 *
 * @throws {FlowError} `ERR_FORMAT` for another extension, for a file of another format than its extension names, for a
 *   damaged file, and for a compressed file (KITTI, `.flo5`) of more than 2^26 pixels; `ERR_IO` if it cannot be read;
 *   `ERR_ARGUMENT` for a URL other than a file: URL; `ERR_NATIVE` if KITTI's `.png` is read and `sharp` cannot be loaded.
 */
export async function readFlow(file: string | URL): Promise<FlowField> {
  const path = toPath(file, 'file')
  const format = formatOfPath(path)
  let bytes: Buffer
  try {
    bytes = await readFile(path)
  } catch (cause) {
    throw ioError(path, 'read', cause)
  }
  const found = sniff(bytes)
  if (found !== undefined && found !== format) {
    throw new FlowError(
      'ERR_FORMAT',
      `${path}: its content is ${found}, rename it to ${CODECS[found].extension}`,
    )
  }
  try {
    return await CODECS[format].decode(bytes)
  } catch (error) {
    if (!(error instanceof FlowError)) throw error
    throw new FlowError(error.code, `${path}: ${error.message}`, { cause: error })
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
  const bytes = await encodeFlow(flow, options.format ?? formatOfPath(path))
  await writeWhole(path, bytes)
}

/**
 * Reads the bytes of a flow file. The format is detected from the first bytes.
 *
 * @throws {FlowError} `ERR_FORMAT` if they are of no known format, or damaged.
 */
export async function decodeFlow(bytes: Uint8Array): Promise<FlowField> {
  const format = sniff(bytes)
  if (format === undefined)
    throw new FlowError('ERR_FORMAT', `not a flow file: known are ${FLOW_FORMATS.join(', ')}`)
  return CODECS[format].decode(bytes)
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
      `unknown flow format '${format}': known are ${FLOW_FORMATS.join(', ')}`,
    )
  }
  return CODECS[format].encode(flow)
}

function formatOfPath(path: string): FlowFormat {
  const extension = extname(path).toLowerCase()
  const format = FLOW_FORMATS.find((candidate) => CODECS[candidate].extension === extension)
  if (format === undefined) {
    const known = FLOW_FORMATS.map((candidate) => CODECS[candidate].extension).join(', ')
    throw new FlowError('ERR_FORMAT', `${path}: flow files end in ${known}, not '${extension}'`)
  }
  return format
}

function sniff(bytes: Uint8Array): FlowFormat | undefined {
  const start = String.fromCharCode(...bytes.subarray(0, 8))
  return FLOW_FORMATS.find((format) => start.startsWith(CODECS[format].magic))
}
