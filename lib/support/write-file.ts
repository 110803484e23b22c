import { randomUUID } from 'node:crypto'
import { rename, rm, writeFile } from 'node:fs/promises'
import { ioError } from './io-error.js'

/**
 * Writes a file. It appears complete or not at all.
 *
 * @throws {FlowError} `ERR_IO` if the file cannot be written
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
