import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { FlowError } from '../../../errors.js'
import { shortPath } from '../../../support/quote.js'
import { codeOf } from '../../../support/brands.js'
import { ioError } from '../../../support/io-error.js'

/** A folder is not there, or holds nothing of what it ought to: the error without the layout, which the caller knows. */
function missing(path: string, what: string): FlowError {
  return new FlowError('ERR_IO', `${shortPath(path)}: ${what}`)
}

export async function isFolder(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined))?.isDirectory() ?? false
}

/**
 * The first of the folders that is there.
 *
 * @throws {FlowError} `ERR_IO` if none is
 */
export async function oneOf(root: string, ...folders: readonly string[]): Promise<string> {
  for (const folder of folders) if (await isFolder(join(root, folder))) return join(root, folder)
  throw missing(
    join(root, folders[0]!),
    folders.length === 1 ? 'no such folder' : `no such folder, nor ${folders.slice(1).join(' or ')}`,
  )
}

/** Names in a folder, sorted; none if it is not there. */
async function namesIn(folder: string): Promise<string[]> {
  try {
    return (await readdir(folder)).sort()
  } catch (error) {
    if (codeOf(error) === 'ENOENT' || codeOf(error) === 'ENOTDIR') return []
    throw ioError(folder, 'read', error)
  }
}

/** The folders in a folder, sorted. */
export async function foldersIn(folder: string): Promise<string[]> {
  const names = await namesIn(folder)
  const found = await Promise.all(names.map((name) => isFolder(join(folder, name))))
  return names.filter((_, i) => found[i])
}

/** The parts of the names in a folder that the groups of a pattern match, sorted by name. */
export async function matchesIn(folder: string, pattern: RegExp): Promise<string[][]> {
  return (await namesIn(folder)).flatMap((name) => {
    const match = pattern.exec(name)
    return match === null ? [] : [match.slice(1)]
  })
}

/** The numbers in the names of a folder, as text with leading zeros: the only group of the pattern. */
export async function numbersIn(folder: string, pattern: RegExp): Promise<string[]> {
  return (await matchesIn(folder, pattern)).map(([number]) => number!)
}

/** The next number, with as many digits. */
export function after(number: string): string {
  return String(Number(number) + 1).padStart(number.length, '0')
}

/**
 * The numbers of a sequence's pairs: of its ground truth, and of all frames but the last, whose ground truth has to be there. So a
 * missing file of either is noticed.
 */
export function pairNumbers(frames: readonly string[], truths: readonly string[]): string[] {
  return [...new Set([...frames.slice(0, -1), ...truths])].sort()
}

/** @throws {FlowError} `ERR_IO` if there are none */
export function someOf<T>(pairs: readonly T[], root: string): readonly T[] {
  if (pairs.length === 0) throw missing(root, 'has no pair of frames with ground truth')
  return pairs
}
