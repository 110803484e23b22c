import { crc32, inflateRaw } from 'node:zlib'
import { promisify } from 'node:util'
import { Malformed } from '../checkpoint/malformed.js'
import { memorySource, readRange, type Source } from '../checkpoint/source.js'
import { DEFLATED, packedOffset, readZip, type ZipEntry } from '../checkpoint/zip.js'
import { FlowError, messageOf } from '../errors.js'
import type { FlowField } from '../flow-field.js'
import { checkBytes } from '../support/arguments.js'
import { listed, quoted } from '../support/quote.js'
import { damaged, LARGEST_INFLATION, MAX_DECODED_PIXELS } from './floats.js'
import { decodeNpy } from './npy.js'

// The file: a zip archive of .npy files, one for each array, as numpy.savez (stored) and savez_compressed (deflated) write it.
// https://numpy.org/doc/stable/reference/generated/numpy.savez.html

/** Limit on the unpacked bytes of an array: two float64 for each of the most pixels. */
const LARGEST_ARRAY = 16 * MAX_DECODED_PIXELS

const inflate = promisify(inflateRaw)

/**
 * Reads optical flow from NumPy's `.npz`: its only array, or the one that is named `flow`. The array is as {@link decodeNpy} takes it.
 *
 * @throws {FlowError} `ERR_FORMAT` if it is damaged, if none of several arrays is named `flow`, or if the array takes more than
 *   1 GiB
 */
export async function decodeNpz(bytes: Uint8Array): Promise<FlowField> {
  checkBytes(bytes)
  return decodeNpy(await unpackArray(bytes, 'flow'))
}

/**
 * The bytes of one array in an `.npz`, which are those of an `.npy`.
 *
 * @param name the array that is taken if there are several
 */
export async function unpackArray(bytes: Uint8Array, name: string): Promise<Uint8Array> {
  try {
    const source = memorySource(bytes)
    const entries = [...readZip(source).values()].filter((entry) => entry.name.endsWith('.npy'))
    return await unpack(source, choose(entries, name))
  } catch (cause) {
    if (cause instanceof FlowError) throw cause
    throw damaged(
      '.npz',
      cause instanceof Malformed ? cause.message : `${messageOf(cause)}: get the file again`,
      cause,
    )
  }
}

function choose(entries: readonly ZipEntry[], name: string): ZipEntry {
  const chosen = entries.length === 1 ? entries[0] : entries.find((entry) => entry.name === `${name}.npy`)
  if (chosen !== undefined) return chosen
  if (entries.length === 0) throw damaged('.npz', 'it holds no array (.npy): write it with numpy.savez')
  const names = listed(entries.map((entry) => entry.name.slice(0, -'.npy'.length)))
  throw damaged(
    '.npz',
    `it holds the arrays ${names.slice(0, 160)} and none is named '${name}': save the one alone`,
  )
}

async function unpack(source: Source, entry: ZipEntry): Promise<Uint8Array> {
  const { name, size, packed, storage, method, crc } = entry
  if (storage === 'encrypted' || (storage === 'compressed' && method !== DEFLATED))
    throw damaged(
      '.npz',
      `its array ${quoted(name)} is ${storage} in a way that numpy never writes: save it again with numpy.savez`,
    )
  if (size > LARGEST_ARRAY)
    throw damaged(
      '.npz',
      `its array ${quoted(name)} takes ${size} bytes, more than ${LARGEST_ARRAY}: save it in parts`,
    )
  if (size > LARGEST_INFLATION * packed + 64)
    throw damaged(
      '.npz',
      `its array ${quoted(name)} of ${packed} bytes cannot unpack to ${size}: get the file again`,
    )
  const stored = readRange(source, packedOffset(source, entry), packed)
  const unpacked =
    storage === 'plain' ? stored : await inflate(stored, { maxOutputLength: Math.max(size, 1) })
  if (unpacked.length !== size || crc32(unpacked) !== crc)
    throw damaged('.npz', `its array ${quoted(name)} is damaged (its checksum differs): get the file again`)
  return unpacked
}
