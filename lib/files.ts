import { randomUUID } from 'node:crypto'
import { rename, rm, writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { FlowError, messageOf } from './errors.js'

/**
 * The path of a file that a caller named.
 *
 * @param name what messages call it
 * @throws {FlowError} `ERR_ARGUMENT` unless it is a path or a file: URL
 */
export function toPath(file: string | URL, name: string): string {
  if (typeof file === 'string' && file !== '') return file
  if (file instanceof URL && file.protocol === 'file:') {
    try {
      return fileURLToPath(file)
    } catch (cause) {
      throw new FlowError('ERR_ARGUMENT', `${name}: ${file} names no file here: ${messageOf(cause)}`, {
        cause,
      })
    }
  }
  const given = file instanceof URL ? file.href : (JSON.stringify(file) ?? String(file))
  throw new FlowError('ERR_ARGUMENT', `${name}: is a path or a file: URL, not ${given}`)
}

/**
 * The system's error as an `ERR_IO`; a FlowError stays what it is.
 *
 * @param file what the message calls the file
 */
export function ioError(file: string, done: 'read' | 'written', cause: unknown): FlowError {
  if (cause instanceof FlowError) return cause
  const code = cause instanceof Error && 'code' in cause ? cause.code : undefined
  if (code === 'ENOENT' && done === 'read') return new FlowError('ERR_IO', `${file}: no such file`, { cause })
  return new FlowError('ERR_IO', `${file}: cannot be ${done}: ${messageOf(cause)}`, { cause })
}

/**
 * Writes a file that appears complete or not at all.
 *
 * @throws {FlowError} `ERR_IO` if it cannot be written
 */
export async function writeWhole(path: string, bytes: Uint8Array): Promise<void> {
  const temporary = `${path}.${randomUUID()}.tmp`
  try {
    await writeFile(temporary, bytes, { flag: 'wx' })
    await rename(temporary, path)
  } catch (cause) {
    await rm(temporary, { force: true }).catch(() => undefined)
    throw ioError(path, 'written', cause)
  }
}
