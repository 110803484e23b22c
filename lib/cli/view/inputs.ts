import { open, stat } from 'node:fs/promises'
import { basename, extname } from 'node:path'
import { type PngCode, readFlow } from '../../formats/index.js'
import { toPath } from '../../support/file-path.js'
import { shortPath } from '../../support/quote.js'
import { UsageError } from '../cli.js'
import { FLOW_EXTENSIONS } from '../outputs.js'
import type { Step } from './compose.js'
import { gapsOf, listBackwardFlows, listFiles, listFlows, type NumberedFiles } from './folder.js'
import { framesOfPictures, framesOfVideo } from './frames.js'
import type { Frames } from './pictures.js'
import { type CompanionFiles, COMPANIONS, readCompanions, readStep, type StepFields } from './step.js'

/** The options that name inputs, as commander hands them over. */
export interface InputFlags {
  readonly backward?: string
  readonly truth?: string
  readonly confidence?: string
  readonly occlusion?: string
  readonly pngCode: PngCode
  readonly strict?: true
  readonly start?: number
}

/** What a page is made of. */
export interface Inputs {
  readonly title: string
  readonly steps: readonly Step[]
  readonly gaps: readonly number[]
  readonly frames: Frames | undefined
  readonly notes: readonly string[]
}

const READ_FLOWS = [...FLOW_EXTENSIONS, '.npz']
const PICTURES = [
  '.png',
  '.jpg',
  '.jpeg',
  '.webp',
  '.avif',
  '.tif',
  '.tiff',
  '.bmp',
  '.ppm',
  '.pgm',
  '.pam',
  '.gif',
]
const MAPS = [...PICTURES, '.npy', '.npz']

/**
 * Finds out what the arguments name: two pictures, whose flow is computed; a flow, with its pictures or without; or a folder of flows.
 *
 * @param compute computes the flow of two pictures
 * @throws {UsageError} for arguments that do not fit together
 */
export async function resolveInputs(
  given: readonly [string, string | undefined, string | undefined],
  flags: InputFlags,
  compute: (a: string, b: string) => Promise<StepFields>,
): Promise<Inputs> {
  const first = toPath(given[0], 'flow')
  const [second, third] = given.slice(1).map((path) => (path === undefined ? path : toPath(path, 'picture')))
  if (await isFolder(first)) {
    if (third !== undefined)
      throw new UsageError('with a folder of flows, give one folder of pictures, or one video, and no more')
    return sequence(first, second, flags)
  }
  if (flags.start !== undefined) throw new UsageError('--start is of a folder of flows')
  for (const name of COMPANIONS) await refuseFolderOf(name, flags[name])
  if (second !== undefined && third === undefined && !(await isFlow(first, second))) {
    const stray = (['backward', 'confidence', 'occlusion'] as const).find((name) => flags[name] !== undefined)
    if (stray !== undefined)
      throw new UsageError(
        `--${stray} belongs to a flow file, and that of two pictures is computed: leave it out`,
      )
    const read = async (): Promise<StepFields> => {
      const computed = await compute(first, second)
      return { ...computed, ...(await readTruth(computed, flags)) }
    }
    return {
      title: `${basename(first)} → ${basename(second)}`,
      steps: [step(0, `flow from ${basename(first)} to ${basename(second)}`, 0, read)],
      gaps: [],
      frames: framesOfPictures([first, second], flags),
      notes: [],
    }
  }
  if (
    second === undefined &&
    PICTURES.includes(extname(first).toLowerCase()) &&
    extname(first).toLowerCase() !== '.png'
  )
    throw new UsageError(`${shortPath(first)} is one picture: give two to see the flow between them`)
  const paths = [second, third].filter((path) => path !== undefined)
  return {
    title: basename(first),
    steps: [step(0, basename(first), 0, () => readStep({ flow: first, ...companionsOf(flags) }, flags))],
    gaps: [],
    frames: paths.length === 0 ? undefined : framesOfPictures(paths, flags),
    notes: [],
  }
}

function step(number: number, label: string, frame: number, read: () => Promise<StepFields>): Step {
  return { number, label, frame, read }
}

function companionsOf(flags: InputFlags): CompanionFiles {
  return Object.fromEntries(COMPANIONS.map((name) => [name, flags[name]]))
}

/** The only thing that belongs to a computed flow and is not computed with it. */
async function readTruth({ flow }: StepFields, flags: InputFlags): Promise<Pick<StepFields, 'truth'>> {
  const { truth } = await readCompanions(flow, 'of the pictures', { truth: flags.truth }, flags)
  return { truth }
}

async function sequence(folder: string, pictures: string | undefined, flags: InputFlags): Promise<Inputs> {
  const { files, ignored } = await listFlows(folder, READ_FLOWS)
  const companions = new Map<string, ReadonlyMap<number, string>>()
  companions.set('backward', await listBackwardFlows(folder, READ_FLOWS))
  for (const name of COMPANIONS) {
    const given = flags[name]
    if (given === undefined) continue
    if (!(await isFolder(given)))
      throw new UsageError(
        `--${name}: with a folder of flows, give a folder whose files have the same numbers`,
      )
    const isFlows = name === 'backward' || name === 'truth'
    const found = await listFiles(given, isFlows ? READ_FLOWS : MAPS, isFlows ? 'flow files' : 'maps')
    companions.set(name, byNumber(files, found))
  }
  const numbers = files.map(({ number }) => number)
  const { spacing, gaps } = gapsOf(numbers)
  const start = flags.start ?? 0
  const steps = files.map(({ path, number }) => {
    const others = Object.fromEntries([...companions].map(([name, paths]) => [name, paths.get(number)]))
    const frame = start + Math.round((number - numbers[0]!) / spacing)
    return step(number, basename(path), frame, () => readStep({ flow: path, ...others }, flags))
  })
  return {
    title: basename(folder) || folder,
    steps,
    gaps,
    frames: pictures === undefined ? undefined : await sequenceFrames(pictures, files[0]!.path, flags),
    notes: ignored === 0 ? [] : [`${ignored} files of other extensions in the folder are left out`],
  }
}

/** Files by the numbers of the flows. Where their own numbers are others, but they are as many, their order counts. */
function byNumber(flows: NumberedFiles['files'], { files }: NumberedFiles): ReadonlyMap<number, string> {
  const own = new Map(files.map(({ number, path }) => [number, path]))
  if (flows.some(({ number }) => own.has(number)) || files.length !== flows.length) return own
  return new Map(flows.map(({ number }, i) => [number, files[i]!.path]))
}

async function sequenceFrames(pictures: string, flow: string, flags: InputFlags): Promise<Frames> {
  if (!(await isFolder(pictures))) {
    const { width, height } = await readFlow(flow, flags)
    return framesOfVideo(pictures, { width, height })
  }
  const { files } = await listFiles(pictures, PICTURES, 'pictures')
  return framesOfPictures(
    files.map(({ path }) => path),
    flags,
  )
}

/** Whether the first of two paths is a flow, so that the other one is its picture. A PNG may be either. */
async function isFlow(path: string, other: string): Promise<boolean> {
  const extension = extname(path).toLowerCase()
  if (path === '-' || (READ_FLOWS.includes(extension) && extension !== '.png')) return true
  return extension === '.png' && (await isDeepPng(path)) && !(await isDeepPng(other))
}

/** Whether a file is a PNG of RGB in 16 bits, as flow is coded: bytes 24 and 25 are the bits and the type of colour. */
async function isDeepPng(path: string): Promise<boolean> {
  const file = await open(path).catch(() => undefined)
  if (file === undefined) return false
  try {
    const head = Buffer.alloc(26)
    const { bytesRead } = await file.read(head, 0, head.length, 0)
    return (
      bytesRead === head.length &&
      head.toString('latin1', 1, 4) === 'PNG' &&
      head[24] === 16 &&
      head[25] === 2
    )
  } finally {
    await file.close()
  }
}

async function refuseFolderOf(name: string, path: string | undefined): Promise<void> {
  if (path !== undefined && (await isFolder(path)))
    throw new UsageError(`--${name} is a folder, and the flow a file: give the file of this flow`)
}

async function isFolder(path: string): Promise<boolean> {
  const found = await stat(path).catch(() => undefined)
  return found?.isDirectory() === true
}
