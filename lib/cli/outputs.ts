import { accessSync, constants, lstatSync, realpathSync, statSync } from 'node:fs'
import { basename, dirname, extname, join, parse, resolve } from 'node:path'
import { FlowError, messageOf } from '../errors.js'
import { MAP_EXTENSIONS } from '../formats/map.js'
import { PICTURE_EXTENSIONS } from '../image/save.js'
import { toPath } from '../support/file-path.js'
import { STANDARD_INPUT } from '../support/read-file.js'
import { quoted, shortPath } from '../support/quote.js'
import { followLinks } from '../support/write-file.js'
import { UsageError } from './cli.js'

/** The extensions that `writeFlow` knows. */
export const FLOW_EXTENSIONS: readonly string[] = ['.flo', '.png', '.pfm', '.npy', '.flo5']

/** The extensions of videos that ffmpeg is asked to write. */
export const VIDEO_EXTENSIONS: readonly string[] = ['.mp4', '.mov', '.m4v', '.mkv', '.webm']

/** What a file holds: the extensions that it may have, and what to say of another one. */
const KINDS = {
  flow: { extensions: FLOW_EXTENSIONS, named: 'flow files end in' },
  picture: { extensions: PICTURE_EXTENSIONS, named: 'pictures are written as' },
  map: { extensions: MAP_EXTENSIONS, named: 'maps are written as' },
  report: { extensions: ['.json'], named: 'reports are written as' },
  page: { extensions: ['.html', '.htm'], named: 'pages are written as' },
  video: { extensions: VIDEO_EXTENSIONS, named: 'videos are written as' },
  safetensors: { extensions: ['.safetensors'], named: 'safetensors files end in' },
  torch: { extensions: ['.pth', '.pt'], named: 'files of PyTorch end in' },
  markdown: { extensions: ['.md'], named: 'Markdown is written as' },
} as const

/** A file that a command is going to write. */
export interface PlannedOutput {
  /** The option that names it, for messages. */
  readonly option: string
  readonly path: string
  readonly kind: keyof typeof KINDS
}

/** @throws {UsageError} if more than one input is standard input */
export function checkInputs(inputs: readonly (string | undefined)[]): void {
  if (inputs.filter((path) => path === STANDARD_INPUT).length > 1)
    throw new UsageError(
      `only one input can be standard input (${STANDARD_INPUT}): give a path for the others`,
    )
}

/**
 * Checks that all outputs can be written. It runs before the work, so that no work is lost.
 *
 * @param inputs paths that must not be overwritten
 * @throws {UsageError} for an extension that cannot be written, two outputs of one path, or an output that is an input
 * @throws {FlowError} `ERR_IO` if the folder does not exist or is not writable, or the name is too long or that of a folder;
 *   `ERR_ARGUMENT` for a URL that is not of a file
 */
export function checkOutputs(outputs: readonly PlannedOutput[], inputs: readonly string[]): void {
  const taken = new Map(inputs.map((path) => [identity(path), 'an input']))
  for (const { option, path, kind } of outputs) {
    checkExtension(option, path, kind)
    const file = toPath(path, option)
    const other = taken.get(identity(file))
    if (other !== undefined)
      throw new UsageError(`${option}: ${shortPath(path)} is also ${other}: give another name`)
    taken.set(identity(file), `the output of ${option}`)
    checkPlace(file)
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
  throw new UsageError(`${option}: ${named} ${extensions.join(', ')}, not ${shortPath(path)}`)
}

/** The path that a file has without links: an output is written through a link, and so must not be one to an input. */
function identity(path: string): string {
  const file = resolve(followLinks(/^file:/i.test(path) ? toPath(path, 'file') : path))
  try {
    return join(realpathSync(dirname(file)), basename(file))
  } catch {
    return file
  }
}

/** The folder and the name, or those of the file that a link names. */
function checkPlace(path: string): void {
  const real = identity(path)
  const folder = dirname(real)
  try {
    accessSync(folder, constants.W_OK)
  } catch (cause) {
    throw new FlowError(
      'ERR_IO',
      `cannot write ${shortPath(path, 100)}: the folder ${shortPath(folder, 100)} is missing or read-only`,
      {
        cause,
      },
    )
  }
  if (!statSync(folder).isDirectory())
    throw new FlowError(
      'ERR_IO',
      `cannot write ${shortPath(path, 100)}: ${shortPath(folder, 100)} is not a folder`,
    )
  try {
    if (lstatSync(real).isDirectory())
      throw new FlowError(
        'ERR_IO',
        `cannot write ${shortPath(path, 100)}: it is a folder: give the name of a file in it`,
      )
  } catch (cause) {
    if (cause instanceof FlowError) throw cause
    const { code } = cause as NodeJS.ErrnoException
    if (code === 'ENAMETOOLONG')
      throw new FlowError(
        'ERR_IO',
        `cannot write ${quoted(path)}: a name of ${Buffer.byteLength(basename(path))} bytes is longer than the file system ` +
          'allows, mostly 255: give a shorter one',
        { cause },
      )
    if (code !== 'ENOENT')
      throw new FlowError('ERR_IO', `cannot write ${shortPath(path, 100)}: ${messageOf(cause)}`, { cause })
  }
}
