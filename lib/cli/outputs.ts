import { accessSync, constants, statSync } from 'node:fs'
import { dirname, extname, join, parse, resolve } from 'node:path'
import { FlowError } from '../errors.js'
import { UsageError } from './cli.js'

/** Those that `writeFlow` knows. */
export const FLOW_EXTENSIONS: readonly string[] = ['.flo', '.png', '.pfm', '.npy', '.flo5']
const PICTURE_EXTENSIONS: readonly string[] = ['.png']

/** A file that a command is going to write. */
export interface PlannedOutput {
  /** The option that names it, for messages. */
  readonly option: string
  readonly path: string
  readonly kind: 'flow' | 'picture'
}

/**
 * Finds out before the work what would only be found out after it.
 *
 * @param inputs what must not be overwritten
 * @throws {UsageError} for an extension that cannot be written, for two outputs of one name, and for one that is an input
 * @throws {FlowError} `ERR_IO` where the folder is not there or cannot be written to
 */
export function checkOutputs(outputs: readonly PlannedOutput[], inputs: readonly string[]): void {
  const taken = new Map(inputs.map((path) => [resolve(path), 'an input']))
  for (const { option, path, kind } of outputs) {
    checkExtension(option, path, kind)
    const other = taken.get(resolve(path))
    if (other !== undefined) throw new UsageError(`${option}: ${path} is also ${other}: give another name`)
    taken.set(resolve(path), `the output of ${option}`)
    checkFolder(path)
  }
}

/** The name of the flow back from the second frame: `a/flow.flo` becomes `a/flow.backward.flo`. */
export function backwardName(path: string): string {
  const { dir, name, ext } = parse(path)
  return join(dir, `${name}.backward${ext}`)
}

function checkExtension(option: string, path: string, kind: PlannedOutput['kind']): void {
  const known = kind === 'flow' ? FLOW_EXTENSIONS : PICTURE_EXTENSIONS
  if (known.includes(extname(path).toLowerCase())) return
  const what = kind === 'flow' ? 'flow files end in' : 'pictures are written as'
  throw new UsageError(`${option}: ${what} ${known.join(', ')}, not ${path}`)
}

function checkFolder(path: string): void {
  const folder = dirname(path)
  try {
    accessSync(folder, constants.W_OK)
  } catch (cause) {
    throw new FlowError('ERR_IO', `cannot write ${path}: the folder ${folder} is missing or read-only`, {
      cause,
    })
  }
  if (!statSync(folder).isDirectory())
    throw new FlowError('ERR_IO', `cannot write ${path}: ${folder} is not a folder`)
}
