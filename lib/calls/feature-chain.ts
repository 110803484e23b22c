import type { FeatureId } from '../native/contract.js'

/** A frame whose features are kept, or will be once its request is answered. */
export interface Link<Frame> {
  readonly id: FeatureId
  readonly frame: Frame
  /** The frame before; undefined once this one is answered. */
  before: Link<Frame> | undefined
  failed: boolean
}

/**
 * The features that the next frame of a stream starts from. A frame's request is made before the request of the frame before it
 * is answered. If a request fails, the chain goes back to the last frame that has not failed.
 */
export class FeatureChain<Frame> {
  readonly #release: (id: FeatureId) => void
  #last: Link<Frame> | undefined

  constructor(release: (id: FeatureId) => void) {
    this.#release = release
  }

  /** The last frame that has not failed. */
  get last(): Link<Frame> | undefined {
    while (this.#last?.failed === true) this.#last = this.#last.before
    return this.#last
  }

  /**
   * Whether the request of the last frame cannot succeed, because the frame before has failed. The next frame must wait until
   * the last one starts again.
   */
  get broken(): boolean {
    return this.last?.before?.failed === true
  }

  add(id: FeatureId, frame: Frame): Link<Frame> {
    this.#last = { id, frame, before: this.last, failed: false }
    return this.#last
  }

  /** The request of a frame was answered. The features of the frames before are not needed any more. */
  answered(link: Link<Frame>): void {
    // Before a frame that failed there is the one whose features it started from.
    for (let { before } = link; before !== undefined; before = before.before) this.#release(before.id)
    link.before = undefined
  }

  /** The request of a frame failed. Its features were not kept. */
  failed(link: Link<Frame>): void {
    link.failed = true
  }

  /** Frees the features of the last frame. */
  clear(): void {
    const { last } = this
    this.#last = undefined
    if (last !== undefined) this.#release(last.id)
  }
}
