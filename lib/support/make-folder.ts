import { existsSync, mkdirSync, statSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { FlowError } from '../errors.js'
import { ioError } from './io-error.js'
import { shortPath } from './quote.js'

/**
 * Makes a folder, and those that it is in. `mkdir` of Node 20 with `recursive` never returns where the system makes no folders, such
 * as in /proc.
 *
 * @throws {FlowError} `ERR_IO` if there can be no such folder
 */
export function makeFolder(folder: string): void {
  if (existsSync(folder)) {
    if (statSync(folder).isDirectory()) return
    throw new FlowError('ERR_IO', `cannot write to ${shortPath(folder)}: it is a file: name a folder`)
  }
  makeFolder(dirname(resolve(folder)))
  try {
    mkdirSync(folder)
  } catch (cause) {
    if (!existsSync(folder)) throw ioError(folder, 'written', cause) // else another process has made it
  }
}
