import { createReadStream } from 'node:fs'
import { readFile, stat } from 'node:fs/promises'
import { FlowError } from '../errors.js'
import { ioError } from './io-error.js'

/** The name of standard input in the place of a path. */
export const STANDARD_INPUT = '-'

/** Limit on the bytes of a picture or of a flow file. A pipe or a device such as /dev/zero may have no end. */
const LARGEST = 2 ** 31 - 1

/** What messages say about a file: its name, and what it ought to be, such as `a picture`. */
export interface FileRole {
  readonly name: string
  readonly expected: string
  /** The code of the error about a folder in its place. */
  readonly code: 'ERR_FRAME' | 'ERR_FORMAT'
}

/**
 * Reads a file, a pipe, or standard input, which is named `-`.
 *
 * @throws {FlowError} `ERR_IO` if it cannot be read, or is larger than 2 GiB; `code` if it is a folder
 */
export async function readWhole(path: string, role: FileRole): Promise<Uint8Array> {
  const { name } = role
  try {
    if (path === STANDARD_INPUT) return await readStream(process.stdin, name)
    const found = await stat(path)
    if (found.isDirectory()) throw folderError(role)
    if (!found.isFile()) return await readStream(createReadStream(path), name)
    if (found.size > LARGEST) throw tooLarge(name)
    return await readFile(path)
  } catch (cause) {
    throw ioError(name, 'read', cause)
  }
}

/** @throws {FlowError} `code` if the path is that of a folder, whatever the end of its name */
export async function refuseFolder(path: string, role: FileRole): Promise<void> {
  const found = await stat(path).catch(() => undefined)
  if (found?.isDirectory() === true) throw folderError(role)
}

function folderError({ name, expected, code }: FileRole): FlowError {
  return new FlowError(code, `${name}: is a folder, not ${expected}: name one file in it`)
}

async function readStream(stream: AsyncIterable<Buffer | string>, name: string): Promise<Uint8Array> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of stream) {
    const bytes = typeof chunk === 'string' ? Buffer.from(chunk) : chunk
    size += bytes.length
    if (size > LARGEST) throw tooLarge(name)
    chunks.push(bytes)
  }
  return Buffer.concat(chunks, size)
}

function tooLarge(name: string): FlowError {
  return new FlowError(
    'ERR_IO',
    `${name}: has more than ${LARGEST} bytes, which no picture or flow file needs`,
  )
}
