import { closeSync, fstatSync, openSync, readSync, statSync } from 'node:fs'
import { FlowError } from '../errors.js'
import { ioError } from '../support/io-error.js'
import { shortPath } from '../support/quote.js'
import { Malformed } from './malformed.js'

/** A file of known size, read by range. */
export interface Source {
  readonly path: string
  readonly fd: number
  /** Bytes. */
  readonly size: number
  /** The whole file, where it is in memory already; `fd` is not used then. */
  readonly bytes?: Uint8Array
}

/** A file that is in memory. */
export function memorySource(bytes: Uint8Array): Source {
  return { path: '', fd: -1, size: bytes.length, bytes }
}

/**
 * Opens a regular file for reading.
 *
 * @throws {FlowError} `ERR_IO` if it does not exist, cannot be opened, or is a device, pipe or directory
 */
export function openSource(path: string): Source {
  let fd: number | undefined
  try {
    // Checked before the file is opened: opening a named pipe would block until somebody writes to it.
    if (!statSync(path).isFile())
      throw new FlowError('ERR_IO', `${shortPath(path)}: is not a regular file: copy it to one`)
    fd = openSync(path, 'r')
    return { path, fd, size: fstatSync(fd).size }
  } catch (cause) {
    if (fd !== undefined) closeSync(fd)
    throw ioError(path, 'read', cause)
  }
}

/**
 * Reads `length` bytes at `offset`. The range is checked against the file's size before memory is allocated.
 *
 * @throws {Malformed} if the range is not inside the file
 * @throws {FlowError} `ERR_IO` if the system cannot read it
 */
export function readRange(source: Source, offset: number, length: number): Buffer {
  if (!(offset >= 0 && length >= 0 && offset + length <= source.size))
    throw new Malformed(`is cut short: ${offset + length} bytes are needed, the file has ${source.size}`)
  if (source.bytes !== undefined)
    return Buffer.from(source.bytes.buffer, source.bytes.byteOffset + offset, length)
  const bytes = Buffer.allocUnsafe(length)
  let done = 0
  while (done < length) {
    let n: number
    try {
      n = readSync(source.fd, bytes, done, length - done, offset + done)
    } catch (cause) {
      throw ioError(source.path, 'read', cause)
    }
    if (n === 0) throw new Malformed('became shorter while it was read')
    done += n
  }
  return bytes
}
