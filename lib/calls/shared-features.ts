import type { FeatureId } from '../native/contract.js'

/** Features that a stream and its caller may both need. The one that lets go last frees them. */
export class SharedFeatures {
  readonly #free: (id: FeatureId) => void
  readonly #shared = new Set<FeatureId>()

  constructor(free: (id: FeatureId) => void) {
    this.#free = free
  }

  /** From now on both need them. */
  share(id: FeatureId): void {
    this.#shared.add(id)
  }

  /** One of both lets go. */
  release(id: FeatureId): void {
    if (!this.#shared.delete(id)) this.#free(id)
  }
}
