import type { Weight } from './tensor.js'
import { readWeight } from './values.js'

/** Values with a name and a shape, float32 and row-major, which are read when they are needed. */
export interface NamedValues {
  readonly name: string
  readonly shape: readonly number[]
  read(): Float32Array
}

/** A checkpoint's weights by their canonical names. They can be read while its file is open. */
export class Weights {
  readonly #weights: ReadonlyMap<string, Weight>

  constructor(weights: readonly Weight[]) {
    this.#weights = new Map(weights.map((weight) => [weight.name, weight]))
  }

  *[Symbol.iterator](): Generator<NamedValues> {
    for (const name of this.#weights.keys()) yield this.get(name)
  }

  has(name: string): boolean {
    return this.#weights.has(name)
  }

  get(name: string): NamedValues {
    const weight = this.#weights.get(name)
    if (weight === undefined) throw new Error(`no weight ${name}`)
    return { name, shape: weight.shape, read: () => readWeight(weight) }
  }

  /** @throws {FlowError} as `readWeight` */
  values(name: string): Float32Array {
    return this.get(name).read()
  }
}
