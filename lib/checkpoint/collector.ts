import { listed, quoted } from '../support/quote.js'
import { elements } from './layout.js'
import type { NamedModel } from './names.js'
import {
  DTYPE_BYTES,
  type CheckpointFile,
  type StoredTensor,
  type Weight,
  type WeightPart,
} from './tensor.js'

/** A shape that is asked for; undefined where the tensor that would tell the number is missing. */
export type ExpectedShape = readonly (number | undefined)[]

/** Why a checkpoint cannot be used. */
export interface Problem {
  readonly kind: 'missing' | 'unfit'
  /** The tensor's name in the file, or the canonical one where it is missing. */
  readonly tensor: string
  /** Goes on after the tensor's name: "has shape [48, 2] instead of [2, 48]". */
  readonly reason: string
}

/**
 * Takes the weights of a model out of a file one by one, and notes what is wrong instead of stopping, so that a message can
 * say all of it.
 */
export class Collector {
  readonly weights: Weight[] = []
  readonly problems: Problem[] = []
  private readonly taken = new Set<StoredTensor>()

  constructor(
    private readonly file: CheckpointFile,
    private readonly model: NamedModel,
  ) {}

  get names(): Iterable<string> {
    return this.model.tensors.keys()
  }

  has(name: string): boolean {
    return this.model.tensors.has(name)
  }

  /** Length of one axis, where tensor and axis exist. */
  axis(name: string, axis: number): number | undefined {
    return this.model.tensors.get(name)?.shape[axis]
  }

  /** Takes a required weight. */
  take(name: string, shape: ExpectedShape): void {
    const tensor = this.claim(name, shape)
    if (tensor !== undefined) this.add(name, tensor.shape, [{ file: this.file, tensor }])
  }

  /** Adds a weight laid together from parts, of which `claimPart` made each. */
  add(name: string, shape: readonly number[], parts: readonly WeightPart[]): void {
    this.weights.push({ name, shape, parts })
  }

  /** Claims a required tensor as a part of a weight; undefined, and a problem noted, where it is missing or unfit. */
  claimPart(name: string, shape: ExpectedShape): WeightPart | undefined {
    const tensor = this.claim(name, shape)
    return tensor === undefined ? undefined : { file: this.file, tensor }
  }

  /** Marks a tensor as known where there is nothing in it to read. */
  pass(name: string): void {
    const tensor = this.model.tensors.get(name)
    if (tensor !== undefined) this.taken.add(tensor)
  }

  /** Notes that a tensor says something that cannot be. */
  unfit(name: string, reason: string): void {
    this.problems.push({ kind: 'unfit', tensor: this.model.tensors.get(name)?.name ?? name, reason })
  }

  /**
   * A number of the architecture, derived from the named tensor.
   *
   * @returns `value`, or undefined where it is unknown or outside [1, most]; the latter is noted
   */
  within(name: string, what: string, value: number | undefined, most: number): number | undefined {
    if (value === undefined || (Number.isSafeInteger(value) && value >= 1 && value <= most)) return value
    this.unfit(name, `gives ${what} of ${value}: 1 to ${most} can be used`)
    return undefined
  }

  /**
   * The engine allocates what the weights' shapes say. Tensors may share bytes in a file, and so a small file could ask for
   * any amount; a model's never do.
   */
  checkSharing(): void {
    let bytes = 0
    for (const tensor of this.taken) bytes += elements(tensor.shape) * DTYPE_BYTES[tensor.dtype]
    if (bytes <= this.file.size) return
    const [first] = this.taken
    this.problems.push({
      kind: 'unfit',
      tensor: first?.name ?? '',
      reason: `and others share their bytes: ${bytes} bytes of weights in a file of ${this.file.size}`,
    })
  }

  /** Names of the model's tensors that were not asked for. */
  leftOver(isNeedless: (name: string) => boolean): string[] {
    return [...this.model.tensors]
      .filter(([name, tensor]) => !this.taken.has(tensor) && !isNeedless(name))
      .map(([, tensor]) => tensor.name)
  }

  private claim(name: string, shape: ExpectedShape): StoredTensor | undefined {
    const tensor = this.model.tensors.get(name)
    if (tensor === undefined) {
      this.problems.push({ kind: 'missing', tensor: name, reason: 'is missing' })
      return undefined
    }
    this.taken.add(tensor)
    const fits =
      tensor.shape.length === shape.length &&
      shape.every((n, i) => (n ?? tensor.shape[i]) === tensor.shape[i])
    if (!fits) {
      const expected = `[${shape.map((n) => n ?? '?').join(', ')}]`
      this.unfit(name, `has shape ${listed(tensor.shape)} instead of ${expected}`)
      return undefined
    }
    if (tensor.dtype !== 'float32' && tensor.dtype !== 'float16' && tensor.dtype !== 'bfloat16') {
      this.unfit(name, `is ${tensor.dtype}: weights must be float32, float16 or bfloat16`)
      return undefined
    }
    return tensor
  }
}

const SHOWN = 3

/** All problems in one sentence or two, the missing tensors counted and the first of them named. */
export function describeProblems(problems: readonly Problem[]): string {
  const missing = problems.filter((problem) => problem.kind === 'missing')
  const unfit = problems.filter((problem) => problem.kind === 'unfit')
  const sentences = unfit.slice(0, SHOWN).map(({ tensor, reason }) => `tensor ${quoted(tensor)} ${reason}`)
  if (unfit.length > SHOWN) sentences.push(`${unfit.length - SHOWN} more tensors do not fit`)
  const names = missing.slice(0, SHOWN).map(({ tensor }) => quoted(tensor))
  if (missing.length === 1) sentences.unshift(`tensor ${names[0]} is missing`)
  else if (missing.length > 1) {
    const more = missing.length > SHOWN ? ` and ${missing.length - SHOWN} more` : ''
    sentences.unshift(`${missing.length} tensors are missing: ${names.join(', ')}${more}`)
  }
  return sentences.join('; ')
}
