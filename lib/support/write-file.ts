import { randomUUID } from 'node:crypto'
import { readlinkSync } from 'node:fs'
import { chmod, chown, rename, rm, stat, writeFile } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { ioError } from './io-error.js'

/** Permission bits of a mode. */
const PERMISSIONS = 0o7777

/** Linux itself gives up after so many. */
const MOST_LINKS = 40

/** A file to be written. */
export interface NewFile {
  readonly path: string
  /** Its content, whole or piece by piece. */
  readonly bytes: Uint8Array | Iterable<Uint8Array> | AsyncIterable<Uint8Array>
}

/**
 * Writes a file. It appears complete or not at all. A symbolic link stays, and the file that it names is written; an existing file
 * keeps its mode and, where the system allows it, its owner. A pipe or a device is written to.
 *
 * @throws {FlowError} `ERR_IO` if the file cannot be written
 */
export async function writeWhole(path: string, bytes: Uint8Array): Promise<void> {
  await writeTogether([{ path, bytes }])
}

/**
 * Writes files that belong together, each as {@link writeWhole} does. They appear when all are complete; if one cannot be written,
 * or an error comes from its bytes, none appears.
 *
 * @throws {FlowError} `ERR_IO` if a file cannot be written
 */
export async function writeTogether(files: readonly NewFile[]): Promise<void> {
  const staged: Staged[] = []
  try {
    for (const file of files) {
      const ready = await named(file.path, () => stage(file))
      if (ready !== undefined) staged.push(ready)
    }
    for (const { path, temporary, target } of staged) await named(path, () => rename(temporary, target))
  } catch (cause) {
    await Promise.all(staged.map(({ temporary }) => rm(temporary, { force: true }).catch(() => undefined)))
    throw cause
  }
}

async function named<T>(path: string, write: () => Promise<T>): Promise<T> {
  try {
    return await write()
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

/** A complete file under a name of its own. */
interface Staged {
  readonly path: string
  readonly temporary: string
  readonly target: string
}

const TEMPORARY = { prefix: '.dinov3-flow-', suffix: '.tmp' } as const

/** Whether a file of this name is one in the making; one that is old was left by a process that was killed. */
export function isTemporary(name: string): boolean {
  return name.startsWith(TEMPORARY.prefix) && name.endsWith(TEMPORARY.suffix)
}

/** Writes a file under a name of its own, not longer than a file system allows; undefined for a pipe or a device, which has it then. */
async function stage({ path, bytes }: NewFile): Promise<Staged | undefined> {
  const target = followLinks(path)
  const existing = await stat(target).catch(ifMissing)
  if (existing !== undefined && !existing.isFile()) {
    await writeFile(target, bytes)
    return undefined
  }
  const temporary = join(dirname(target), `${TEMPORARY.prefix}${randomUUID()}${TEMPORARY.suffix}`)
  try {
    // Nobody may read what only the owner of the existing file may: not for a moment.
    await writeFile(temporary, bytes, { flag: 'wx', ...(existing === undefined ? {} : { mode: 0o600 }) })
    if (existing !== undefined) {
      await chown(temporary, existing.uid, existing.gid).catch(() => undefined)
      await chmod(temporary, existing.mode & PERMISSIONS)
    }
    return { path, temporary, target }
  } catch (cause) {
    await rm(temporary, { force: true }).catch(() => undefined)
    throw cause
  }
}

function ifMissing(error: NodeJS.ErrnoException): undefined {
  if (error.code === 'ENOENT') return undefined
  throw error
}
