import { accessSync, constants, statSync } from 'node:fs'
import { dirname, extname, join, parse, resolve } from 'node:path'
import { FlowError } from '../errors.js'
import { MAP_EXTENSIONS } from '../formats/map.js'
import { UsageError } from './cli.js'

/** The extensions that `writeFlow` knows. */
export const FLOW_EXTENSIONS: readonly string[] = ['.flo', '.png', '.pfm', '.npy', '.flo5']

/** What a file holds: the extensions that it may have, and what to say of another one. */
const KINDS = {
  flow: { extensions: FLOW_EXTENSIONS, named: 'flow files end in' },
  picture: { extensions: ['.png'], named: 'pictures are written as' },
  map: { extensions: MAP_EXTENSIONS, named: 'maps are written as' },
} as const

/** A file that a command is going to write. */
export interface PlannedOutput {
  /** The option that names it, for messages. */
  readonly option: string
  readonly path: string
  readonly kind: keyof typeof KINDS
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
  const { extensions, named }: { extensions: readonly string[]; named: string } = KINDS[kind]
  if (extensions.includes(extname(path).toLowerCase())) return
  throw new UsageError(`${option}: ${named} ${extensions.join(', ')}, not ${path}`)
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
