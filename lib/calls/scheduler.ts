import type { FlowModelInfo } from '../load.js'

/** A source of work that is done in order, one part after the other. */
export interface Lane {
  /** Whether there is a part, ready or not. */
  pending(): boolean
  /** Whether there is a part that may start now. */
  ready(): boolean
  /** Starts the next part. The promise is fulfilled when the part is done, and is never rejected. */
  start(): Promise<void>
  /** Gives up all parts that have not started. */
  close(): void
}

/**
 * Parts that the thread of a model should have at a time: the running one and the next one, so that it never waits for the event
 * loop. With a GPU that has memory of its own there is one more: one frame comes in and one is computed, while the results of a
 * third go out.
 */
export function partsInFlight({ gpu }: Pick<FlowModelInfo, 'gpu'>): number {
  return gpu === null || gpu.inPlace ? 2 : 3
}

/** Shares one model between lanes. The next part comes from the ready lane whose last turn is longest ago. */
export class Scheduler {
  /** Parts that the model's thread has at a time. */
  readonly most: number
  /** Lanes with pending parts. Other lanes are not kept in memory. */
  #lanes: Lane[] = []
  readonly #lastTurns = new WeakMap<Lane, number>()
  #turns = 0
  #running = 0

  constructor(most: number) {
    this.most = most
  }

  /** Starts as many parts as may run. Call it whenever a lane may have become ready. */
  wake(lane: Lane): void {
    if (!this.#lanes.includes(lane)) this.#lanes.push(lane)
    this.#startAll()
  }

  close(): void {
    for (const lane of this.#lanes.splice(0)) lane.close()
  }

  #startAll(): void {
    while (this.#running < this.most) {
      const lane = this.#next()
      if (lane === undefined) break
      this.#lastTurns.set(lane, ++this.#turns)
      this.#running += 1
      void lane.start().then(() => {
        this.#running -= 1
        this.#startAll()
      })
    }
    this.#lanes = this.#lanes.filter((lane) => lane.pending())
  }

  #next(): Lane | undefined {
    let next: Lane | undefined
    for (const lane of this.#lanes)
      if (lane.ready() && (next === undefined || this.#lastTurn(lane) < this.#lastTurn(next))) next = lane
    return next
  }

  #lastTurn(lane: Lane): number {
    return this.#lastTurns.get(lane) ?? 0
  }
}
