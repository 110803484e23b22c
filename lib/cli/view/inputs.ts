import { open, stat } from 'node:fs/promises'
import { basename, extname, parse } from 'node:path'
import { FlowError } from '../../errors.js'
import type { Frame } from '../../frame.js'
import { type PngCode, readFlow } from '../../formats/index.js'
import { toPath } from '../../support/file-path.js'
import type { OutputSize } from '../../size.js'
import { shortPath } from '../../support/quote.js'
import { STANDARD_INPUT } from '../../support/read-file.js'
import { count } from '../amounts.js'
import { UsageError } from '../cli.js'
import { FLOW_EXTENSIONS } from '../outputs.js'
import type { Step } from './compose.js'
import { gapsOf, listFiles, listFlows, type NumberedFile, type NumberedFiles } from './folder.js'
import { type FrameRange, framesOfPictures, framesOfVideo } from './frames.js'
import type { Frames } from './pictures.js'
import { type CompanionFiles, COMPANIONS, readCompanions, readStep, type StepFields } from './step.js'

/** The options that name inputs, as commander hands them over. */
export interface InputFlags extends FrameRange {
  readonly backward?: string
  readonly truth?: string
  readonly confidence?: string
  readonly occlusion?: string
  readonly pngCode: PngCode
  readonly strict?: true
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
  compute: (a: Frame, b: Frame) => Promise<StepFields>,
): Promise<Inputs> {
  const first = toPath(given[0], 'flow')
  const [second, third] = given.slice(1).map((path) => (path === undefined ? path : toPath(path, 'picture')))
  if (await isFolder(first)) {
    if (third !== undefined)
      throw new UsageError('with a folder of flows, give one folder of pictures, or one video, and no more')
    return sequence(first, second, flags)
  }
  for (const name of ['start', 'every'] as const)
    if (flags[name] !== undefined) throw new UsageError(`--${name} is of the frames of a folder of flows`)
  for (const name of COMPANIONS) await refuseFolderOf(name, flags[name])
  if (second !== undefined && third === undefined && !(await isFlow(first, second))) {
    const stray = (['backward', 'confidence', 'occlusion'] as const).find((name) => flags[name] !== undefined)
    if (stray !== undefined)
      throw new UsageError(
        `--${stray} belongs to a flow file, and that of two pictures is computed: leave it out`,
      )
    const frames = framesOfPictures([first, second], flags)
    const read = async (): Promise<StepFields> => {
      const [a, b] = [await frames.at(0), await frames.at(1)]
      const computed = await compute(a!.frame, b!.frame)
      return { ...computed, ...(await readTruth(computed, flags)) }
    }
    return {
      title: `${basename(first)} → ${basename(second)}`,
      steps: [step(0, `flow from ${basename(first)} to ${basename(second)}`, 0, read)],
      gaps: [],
      frames,
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
  const name = first === STANDARD_INPUT ? 'standard input' : basename(first)
  return {
    title: name,
    steps: [step(0, name, 0, () => readStep({ flow: first, ...companionsOf(flags) }, flags))],
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
  const { files, ignored, beside } = await listFlows(folder, READ_FLOWS, MAPS)
  const companions = new Map<string, ReadonlyMap<number, string>>()
  const notes: string[] = []
  if (ignored > 0) notes.push(`${count(ignored, 'file')} of another extension in the folder left out`)
  for (const name of COMPANIONS) {
    const given = flags[name]
    if (given === undefined) continue
    if (!(await isFolder(given)))
      throw new UsageError(
        `--${name}: with a folder of flows, give a folder whose files have the same numbers`,
      )
    const isFlows = name === 'backward' || name === 'truth'
    const found = await listFiles(given, isFlows ? READ_FLOWS : MAPS, isFlows ? 'flow files' : 'maps')
    const matched = byNumber(files, found)
    const missing = files.filter(({ number }) => !matched.has(number)).length
    if (missing === files.length)
      throw new FlowError(
        'ERR_ARGUMENT',
        `--${name} ${shortPath(given, 100)}: none of its files has the number of a flow: name them alike`,
      )
    if (missing > 0) notes.push(`${count(missing, 'flow')} without ${name}`)
    companions.set(name, matched)
  }
  const frames = pictures === undefined ? undefined : await sequenceFrames(pictures, files, flags)
  const { gaps, spacing } = gapsOf(files.map(({ number }) => number))
  const steps = files.map(({ path, number }) => {
    const given = Object.fromEntries([...companions].map(([name, paths]) => [name, paths.get(number)]))
    const all = { ...beside.get(stemOf(path)), ...given }
    const frame = frames?.placeOf(path) ?? Math.round((number - files[0]!.number) / spacing)
    return step(number, basename(path), frame, () => readStep({ flow: path, ...all }, flags))
  })
  return {
    title: basename(folder) || folder,
    steps,
    gaps,
    frames: frames?.frames,
    notes,
  }
}

/** Files by the numbers of the flows. Where their own numbers are others, but they are as many, their order counts. */
function byNumber(flows: NumberedFiles['files'], { files }: NumberedFiles): ReadonlyMap<number, string> {
  const own = new Map(files.map(({ number, path }) => [number, path]))
  if (flows.some(({ number }) => own.has(number)) || files.length !== flows.length) return own
  return new Map(flows.map(({ number }, i) => [number, files[i]!.path]))
}

/** The frames of a sequence, and the place among them where a flow starts; undefined if its name does not tell. */
interface SequenceFrames {
  readonly frames: Frames
  readonly placeOf: (flow: string) => number | undefined
}

/**
 * A flow starts from the picture with its name, or, of a video, from the frame with its number: from 1, as `video --flow` counts them,
 * unless there is a 0.
 */
async function sequenceFrames(
  pictures: string,
  flows: readonly NumberedFile[],
  flags: InputFlags,
): Promise<SequenceFrames> {
  if (await isFolder(pictures)) {
    if (flags.start !== undefined)
      throw new UsageError('--start is of a video, and this is a folder of pictures')
    const { files } = await listFiles(pictures, PICTURES, 'pictures')
    const paths = files.map(({ path }) => path).filter((_, i) => i % (flags.every ?? 1) === 0)
    const places = new Map(paths.map((path, place) => [stemOf(path), place]))
    return { frames: framesOfPictures(paths, flags), placeOf: (flow) => places.get(stemOf(flow)) }
  }
  const size = await readFirst(flows, flags)
  const first = flows[0]!.number === 0 ? 0 : 1
  return {
    frames: framesOfVideo(pictures, size, flags),
    placeOf: (flow) => (/^\d{1,9}$/.test(stemOf(flow)) ? Number(stemOf(flow)) - first : undefined),
  }
}

/** The size of the first flow that can be read. */
async function readFirst(flows: readonly NumberedFile[], flags: InputFlags): Promise<OutputSize> {
  let failure: unknown
  for (const { path } of flows)
    try {
      const { width, height } = await readFlow(path, flags)
      return { width, height }
    } catch (cause) {
      failure ??= cause
    }
  throw failure
}

function stemOf(path: string): string {
  return parse(path).name
}

/** Whether the first of two paths is a flow, so that the other one is its picture. A PNG may be either. */
async function isFlow(path: string, other: string): Promise<boolean> {
  const extension = extname(path).toLowerCase()
  if (path === STANDARD_INPUT || (READ_FLOWS.includes(extension) && extension !== '.png')) return true
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
