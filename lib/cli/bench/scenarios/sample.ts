/** Where the time of one frame went, in milliseconds. They add up to the latency. */
export interface Parts {
  /** Of a camera: from when the frame was due until it was pushed. */
  readonly late?: number | undefined
  /** The call itself: checks, hands over, and copies where a frame cannot be read in place. */
  readonly copy: number
  /** Waiting for the engine. */
  readonly queue: number
  /** The computation, with the copies to a GPU and back. */
  readonly engine: number
  /** From the end of the computation until JavaScript has the result. */
  readonly result: number
}

/** One measured query. */
export interface Sample {
  /** Milliseconds from the start of the scenario to the start of the query. */
  readonly at: number
  /** Milliseconds. */
  readonly latency: number
  /** Undefined where the contender does not tell, and for queries of several frames. */
  readonly parts?: Parts | undefined
}
