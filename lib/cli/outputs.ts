import { accessSync, constants, statSync } from 'node:fs'
import { dirname, extname, join, parse, resolve } from 'node:path'
import { FlowError } from '../errors.js'
import { UsageError } from './cli.js'

/** The extensions that `writeFlow` knows. */
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
 * Checks that all outputs can be written. It runs before the work, so that no work is lost.
 *
 * @param inputs paths that must not be overwritten
 * @throws {UsageError} for an extension that cannot be written, two outputs of one path, or an output that is an input
 * @throws {FlowError} `ERR_IO` if the folder does not exist or is not writable
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

/** The path for the flow from the second frame to the first: `a/flow.flo` becomes `a/flow.backward.flo`. */
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
