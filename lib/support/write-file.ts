import { randomUUID } from 'node:crypto'
import { readlinkSync, type Stats } from 'node:fs'
import { chmod, chown, rename, rm, stat, writeFile } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { ioError } from './io-error.js'

/** Permission bits of a mode. */
const PERMISSIONS = 0o7777

/** Linux itself gives up after so many. */
const MOST_LINKS = 40

/**
 * Writes a file. It appears complete or not at all. A symbolic link stays, and the file that it names is written; an existing file
 * keeps its mode and, where the system allows it, its owner. A pipe or a device is written to.
 *
 * @throws {FlowError} `ERR_IO` if the file cannot be written
 */
export async function writeWhole(path: string, bytes: Uint8Array): Promise<void> {
  try {
    const target = followLinks(path)
    const existing = await stat(target).catch(ifMissing)
    if (existing !== undefined && !existing.isFile()) await writeFile(target, bytes)
    else await replace(target, bytes, existing)
  } catch (cause) {
    throw ioError(path, 'written', cause)
  }
}

/** The file that a path names in the end, which need not exist. */
export function followLinks(path: string): string {
  let target = path
  try {
    for (let links = 0; links < MOST_LINKS; links++) target = resolve(dirname(target), readlinkSync(target))
  } catch {
    return target
  }
  // A circle of links: the system has its own error for it.
  return path
}

/** The new file has a name of its own, not longer than a file system allows, until it is complete. */
async function replace(target: string, bytes: Uint8Array, existing: Stats | undefined): Promise<void> {
  const temporary = join(dirname(target), `.dinov3-flow-${randomUUID()}.tmp`)
  try {
    // Nobody may read what only the owner of the existing file may: not for a moment.
    await writeFile(temporary, bytes, { flag: 'wx', ...(existing === undefined ? {} : { mode: 0o600 }) })
    if (existing !== undefined) {
      await chown(temporary, existing.uid, existing.gid).catch(() => undefined)
      await chmod(temporary, existing.mode & PERMISSIONS)
    }
    await rename(temporary, target)
  } catch (cause) {
    await rm(temporary, { force: true }).catch(() => undefined)
    throw cause
  }
}

function ifMissing(error: NodeJS.ErrnoException): undefined {
  if (error.code === 'ENOENT') return undefined
  throw error
}
