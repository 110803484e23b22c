import type { Parts } from '../scenarios/sample.js'

/** One contender, ready to compute. */
export interface Target {
  /** As `--contender` has it, or what is measured without it. */
  readonly name: string
  /** Facts about it for the report: engine, threads, size and so on. */
  readonly info: Readonly<Record<string, unknown>>
  /** Milliseconds to load it; null if it shares the model of another contender. */
  readonly load: number | null
  /**
   * Computes the flow to the frame `index` of a stream from the one before, which must have been the last of that stream.
   *
   * @param stream 0 and up
   * @param index counts frames without end: the frames of the run are repeated
   */
  push(stream: number, index: number): Promise<Pushed>
  /** A camera of its own; undefined if it cannot take frames while it computes. */
  readonly camera?: (() => CameraTarget) | undefined
  close(): Promise<void>
}

/** The outcome of a frame. */
export interface Pushed {
  /** Milliseconds that were taken inside of the contender, where its own clock counts instead of ours. */
  readonly own?: number | undefined
  readonly parts?: Parts | undefined
}

/** A live stream, which drops the oldest waiting frame. */
export interface CameraTarget {
  /** Resolves to null for a frame that was dropped. */
  push(index: number): Promise<Pushed | null>
  close(): void
}
