import type { FeatureId } from '../native/contract.js'

/** A frame whose features are kept, or will be once its request is answered. */
export interface Link<Frame> {
  readonly id: FeatureId
  readonly frame: Frame
  /** The frame before; undefined once this one is answered. */
  before: Link<Frame> | undefined
  /** Its request has failed, or must fail. */
  failed: boolean
}

/**
 * The features that the next frame of a stream starts from. A frame's request is made before the request of the frame before it
 * is answered. If a request fails, so do those after it, which start from features that are not kept. The chain goes back to the
 * last frame that has not failed, and they are made again from there, in their order.
 */
export class FeatureChain<Frame> {
  readonly #release: (id: FeatureId) => void
  #last: Link<Frame> | undefined
  /** Requests that must fail, and have not been answered yet. */
  #doomed = 0

  constructor(release: (id: FeatureId) => void) {
    this.#release = release
  }

  /** The last frame that has not failed. */
  get last(): Link<Frame> | undefined {
    while (this.#last?.failed === true) this.#last = this.#last.before
    return this.#last
  }

  /** Whether requests must fail because one before them has. The next frame must wait until they are made again. */
  get broken(): boolean {
    return this.#doomed > 0
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

  /** The request of a frame failed, or was answered for a frame after one that failed. Its features are not needed. */
  failed(link: Link<Frame>): void {
    this.#release(link.id)
    if (link.failed) {
      this.#doomed -= 1
      return
    }
    for (let { last } = this; last !== undefined && last !== link; last = last.before) {
      last.failed = true
      this.#doomed += 1
    }
    link.failed = true
  }

  /** Frees the features of the last frame. */
  clear(): void {
    const { last } = this
    this.#last = undefined
    if (last !== undefined) this.#release(last.id)
  }
}
