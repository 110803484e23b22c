import { FlowError } from '../../errors.js'
import type { FlowField } from '../../flow-field.js'
import type { Frame } from '../../frame.js'
import type { OutputSize } from '../../size.js'
import { shortPath } from '../../support/quote.js'
import { count, dimensions } from '../amounts.js'
import { frameMismatch, markCuts } from './cuts.js'
import { packFlow, packMap } from './pack.js'
import type { PageData, Shot, TimelineStep } from './page-data.js'
import { Parts } from './parts.js'
import { type Frames, packPicture } from './pictures.js'
import { ScaleFinder } from './scales.js'
import type { StepFields } from './step.js'
import { thin, type Thinning } from './thinning.js'

/** A flow of a sequence, or the only one, which is read when its turn comes. */
export interface Step {
  /** The number of its frame; in a sequence, where it starts in `frames`. */
  readonly number: number
  readonly frame: number
  readonly label: string
  readonly read: () => Promise<StepFields>
}

export interface Composition {
  readonly title: string
  readonly generator: string
  /** In the order of time. */
  readonly steps: readonly Step[]
  /** Numbers that should be there, and are not. */
  readonly gaps: readonly number[]
  readonly frames: Frames | undefined
  /** The length of a motion that gets the full colour; found if it is not given. */
  readonly scale: number | undefined
  readonly notes: readonly string[]
  /** Told before each step. */
  readonly onStep: (done: number, all: number) => void
}

/** A page, and what is told of it. */
export interface Composed {
  readonly data: PageData
  readonly parts: Parts
  /** What could not be read, one line each. */
  readonly failures: readonly string[]
}

/**
 * Reads everything and packs it.
 *
 * @throws {FlowError} if the only flow cannot be read, or none of a sequence. Of a sequence, a step that cannot be read is told in
 *   `failures`.
 */
export async function compose({ steps, frames, ...given }: Composition): Promise<Composed> {
  const single = steps.length === 1
  const parts = new Parts()
  const pictures = new PicturePacker(frames, parts, single ? 'lossless' : 'lossy')
  const shots: Shot[] = []
  const timeline: TimelineStep[] = given.gaps.map((number) => ({
    ...NOTHING,
    number,
    event: 'gap',
  }))
  const mismatches = new Map<number, number>()
  const unreadable: string[] = []
  const flowScale = new ScaleFinder()
  const errorScale = new ScaleFinder()
  let size: OutputSize | undefined
  let plan: Thinning | undefined
  let hasTruth = false
  let withoutPicture = 0

  for (const [index, step] of steps.entries()) {
    given.onStep(index, steps.length)
    let fields: StepFields
    try {
      fields = await step.read()
      size ??= fields.flow
      checkSameSize(step.label, fields.flow, size)
    } catch (cause) {
      if (single || !(cause instanceof FlowError)) throw cause
      unreadable.push(cause.message)
      timeline.push({ ...NOTHING, number: step.number, event: 'broken' })
      continue
    }
    const { flow, backward, truth, confidence, occlusion } = fields
    plan ??= thin(size, steps.length)
    const { grid, every } = plan
    flowScale.add(flow.x, flow.y)
    const error = truth === undefined ? null : addErrors(flow, truth, errorScale)
    hasTruth ||= truth !== undefined
    const first = await pictures.at(step.frame)
    const second = await pictures.at(step.frame + 1)
    if (frames !== undefined && first === undefined) withoutPicture += 1
    const shown = index % every === 0
    timeline.push({
      number: step.number,
      shot: shown ? shots.length : null,
      mean: flow.magnitude().mean,
      error,
      event: null,
    })
    if (!single && first !== undefined && second !== undefined)
      mismatches.set(step.number, await frameMismatch(first.frame, second.frame, flow))
    if (!shown) continue
    shots.push({
      label: step.label,
      flow: packFlow(flow, grid, parts),
      ...(backward && { backward: packFlow(backward, grid, parts) }),
      ...(truth && { truth: packFlow(truth, grid, parts) }),
      ...(confidence && { confidence: packMap(confidence, 1 / 255, grid, parts) }),
      ...(occlusion && { occlusion: packMap(occlusion, 1, grid, parts) }),
      ...(first && { first: await pictures.pack(step.frame, first.frame, grid, size) }),
      ...(second && { second: await pictures.pack(step.frame + 1, second.frame, grid, size) }),
    })
    for (const note of [first?.note, second?.note]) if (note !== undefined) pictures.notes.add(note)
  }
  if (size === undefined || plan === undefined) throw nothingReadable(unreadable)
  timeline.sort((a, b) => a.number - b.number)
  const { grid } = plan
  const failures = [...unreadable, ...pictures.failures]
  return {
    data: {
      title: given.title,
      generator: given.generator,
      size: { width: size.width, height: size.height },
      grid,
      scale: given.scale ?? flowScale.find(),
      errorScale: hasTruth ? errorScale.find() : null,
      pictures: pictures.names,
      shots,
      timeline: single ? [] : markCuts(timeline, mismatches),
      notes: [
        ...given.notes,
        ...pictures.notes,
        ...(withoutPicture === 0 ? [] : [`${count(withoutPicture, 'flow')} without a picture`]),
        ...thinningNotes(plan, shots.length, steps.length),
        ...(failures.length === 0 ? [] : [`${count(failures.length, 'file')} could not be read`]),
      ],
    },
    parts,
    failures,
  }
}

const NOTHING = { shot: null, mean: null, error: null } as const

/** Reads pictures, and packs each once: the second of a flow is the first of the next. */
class PicturePacker {
  readonly names: string[] = []
  readonly notes = new Set<string>()
  /** Pictures of a sequence that cannot be decoded, one line each. */
  readonly failures = new Set<string>()
  readonly #places = new Map<number, number>()
  readonly #frames: Frames | undefined
  readonly #parts: Parts
  readonly #how: 'lossless' | 'lossy'

  constructor(frames: Frames | undefined, parts: Parts, how: 'lossless' | 'lossy') {
    this.#frames = frames
    this.#parts = parts
    this.#how = how
  }

  /** A frame, and undefined where a sequence has none or a broken one. */
  async at(index: number): ReturnType<Frames['at']> {
    try {
      return await this.#frames?.at(index)
    } catch (cause) {
      // A video that ends by an error has no further frames either, and a single flow no other picture.
      if (this.#how === 'lossless' || !(cause instanceof FlowError && cause.code === 'ERR_FRAME')) throw cause
      this.failures.add(cause.message)
      return undefined
    }
  }

  /** @returns its place in the page */
  async pack(index: number, frame: Frame, grid: PageData['grid'], size: OutputSize): Promise<number> {
    const known = this.#places.get(index)
    if (known !== undefined) return known
    if (frame.width !== size.width || frame.height !== size.height) {
      const which = this.#frames?.count === 2 ? `picture ${index + 1} is` : 'pictures are'
      this.notes.add(`${which} ${dimensions(frame)}, shown at the size of the flow, ${dimensions(size)}`)
    }
    this.names.push(await packPicture(frame, grid, this.#parts, this.#how))
    this.#places.set(index, this.names.length - 1)
    return this.names.length - 1
  }
}

/** Adds the end-point errors to the scale; returns their mean over the pixels where both flows are known. */
function addErrors(flow: FlowField, truth: FlowField, scale: ScaleFinder): number | null {
  const x = flow.x.map((value, i) => value - truth.x[i]!)
  const y = flow.y.map((value, i) => value - truth.y[i]!)
  scale.add(x, y)
  let sum = 0
  let known = 0
  for (let i = 0; i < x.length; i++) {
    const error = Math.hypot(x[i]!, y[i]!)
    if (!Number.isFinite(error)) continue
    sum += error
    known += 1
  }
  return known === 0 ? null : sum / known
}

function checkSameSize(label: string, size: OutputSize, first: OutputSize): void {
  if (size.width === first.width && size.height === first.height) return
  throw new FlowError(
    'ERR_ARGUMENT',
    `${shortPath(label)}: is ${dimensions(size)}, and the flows before it ${dimensions(first)}: one page shows one size`,
  )
}

function nothingReadable(failures: readonly string[]): FlowError {
  const [first = '', ...others] = failures
  const more = others.length === 0 ? '' : `\nand ${count(others.length, 'further file')}`
  return new FlowError('ERR_FORMAT', `none of the flow files can be read: ${first}${more}`)
}

/** What of the flows is in the page, where not all is. */
function thinningNotes({ grid: { step }, every }: Thinning, shots: number, steps: number): string[] {
  const notes: string[] = []
  if (step > 1) notes.push(`every ${ordinal(step)} pixel of every ${ordinal(step)} row is in the page`)
  if (every > 1) notes.push(`every ${ordinal(every)} flow is in the page, ${shots} of ${steps}`)
  return notes
}

function ordinal(n: number): string {
  return `${n}${['th', 'st', 'nd', 'rd'][n % 100 > 10 && n % 100 < 14 ? 0 : n % 10] ?? 'th'}`
}
