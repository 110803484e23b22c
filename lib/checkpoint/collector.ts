import { listed, quoted } from '../support/quote.js'
import { elements } from './layout.js'
import type { NamedModel } from './names.js'
import {
  DTYPE_BYTES,
  type CheckpointFile,
  type DType,
  type StoredTensor,
  type Weight,
  type WeightPart,
} from './tensor.js'

/** Types that weights are read from. */
const READ: ReadonlySet<DType> = new Set<DType>(['float32', 'float16', 'bfloat16', 'float64'])

/** A required shape. An axis is undefined if the tensor that determines its length is missing. */
export type ExpectedShape = readonly (number | undefined)[]

/** Why a checkpoint cannot be used. */
export interface Problem {
  readonly kind: 'missing' | 'unfit'
  /** The tensor's name in the file; its canonical name if it is missing. */
  readonly tensor: string
  /** Continues a sentence that begins with the tensor's name: "has shape [48, 2] instead of [2, 48]". */
  readonly reason: string
}

/**
 * Takes the weights of a model out of a file one by one. It notes problems instead of stopping at the first one, so that a
 * message can list all of them.
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

  /** Length of one axis; undefined if the tensor or the axis does not exist. */
  axis(name: string, axis: number): number | undefined {
    return this.model.tensors.get(name)?.shape[axis]
  }

  /** Takes a required weight. */
  take(name: string, shape: ExpectedShape): void {
    const tensor = this.claim(name, shape)
    if (tensor !== undefined) this.add(name, tensor.shape, [{ file: tensor.file, tensor }])
  }

  /** Adds a weight that is joined from parts. Each part is zeros or comes from `claimPart`. */
  add(name: string, shape: readonly number[], parts: readonly WeightPart[]): void {
    this.weights.push({ name, shape, parts })
  }

  /** Claims a required tensor as a part of a weight. If it is missing or unfit, notes a problem and returns undefined. */
  claimPart(name: string, shape: ExpectedShape): WeightPart | undefined {
    const tensor = this.claim(name, shape)
    return tensor === undefined ? undefined : { file: tensor.file, tensor }
  }

  /** Marks a tensor as used without reading it. */
  pass(name: string): void {
    const tensor = this.model.tensors.get(name)
    if (tensor !== undefined) this.taken.add(tensor)
  }

  /** Notes that a tensor does not fit, and why. */
  unfit(name: string, reason: string): void {
    this.problems.push({ kind: 'unfit', tensor: this.model.tensors.get(name)?.name ?? name, reason })
  }

  /**
   * Checks a number of the architecture that was derived from the named tensor.
   *
   * @returns `value`; undefined if it is unknown or outside [1, most]. A value outside the range is noted as a problem.
   */
  within(name: string, what: string, value: number | undefined, most: number): number | undefined {
    if (value === undefined || (Number.isSafeInteger(value) && value >= 1 && value <= most)) return value
    this.unfit(name, `gives ${what} of ${value}: 1 to ${most} can be used`)
    return undefined
  }

  /**
   * Notes a problem if the weights take more bytes than the file has. Tensors in a file may share bytes, and the engine
   * allocates memory by their shapes, so a small file could demand any amount of memory. A real model's tensors share none.
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

  /** Names of the model's tensors that were neither taken nor needless. */
  leftOver(isNeedless: (name: string) => boolean): string[] {
    return [...this.model.tensors]
      .filter(([name, tensor]) => !this.taken.has(tensor) && !isNeedless(name))
      .map(([, tensor]) => tensor.name)
  }

  private claim(name: string, shape: ExpectedShape): StoredTensor | undefined {
    const tensor = this.model.tensors.get(name)
    if (tensor === undefined) {
      this.noteMissing(name)
      return undefined
    }
    this.taken.add(tensor)
    if (tensor.unreadable !== undefined) {
      this.unfit(name, tensor.unreadable)
      return undefined
    }
    const fits =
      tensor.shape.length === shape.length &&
      shape.every((n, i) => (n ?? tensor.shape[i]) === tensor.shape[i])
    if (!fits) {
      const expected = `[${shape.map((n) => n ?? '?').join(', ')}]`
      this.unfit(name, `has shape ${listed(tensor.shape)} instead of ${expected}`)
      return undefined
    }
    if (!READ.has(tensor.dtype)) {
      this.unfit(
        name,
        `is ${tensor.dtype}: weights must be float32, float16, bfloat16 or float64, so save it as float32`,
      )
      return undefined
    }
    return tensor
  }

  private noteMissing(name: string): void {
    const inFile = this.model.prefix + name
    const object = this.file.objects.get(inFile)
    if (object === undefined) this.problems.push({ kind: 'missing', tensor: name, reason: 'is missing' })
    else this.unfit(inFile, `is an object of ${quoted(object)}, which is not read: save a tensor instead`)
  }
}

const SHOWN = 2

/** Describes the problems in a message: the number of missing tensors, and the first few problems of each kind. */
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
