import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import { type FrameInfo, parseLogLine, type Ratio } from './log.js'

/** Something that was wrong with the video. */
export interface Fault {
  /** The index of the frame that came next, or was damaged itself. */
  readonly index: number
  readonly message: string
}

/** Errors that are kept: the last ones. */
const MOST_ERRORS = 20

/** The descriptions of frames in ffmpeg's log, and all else that it tells. */
export class FrameInfos {
  /** Seconds of the whole video. */
  duration: number | undefined
  rate: { readonly timeBase: Ratio; readonly framesPerSecond: number } | undefined
  /** Frames that were described. */
  count = 0
  /** The last errors. */
  errors: string[] = []
  readonly #ready: FrameInfo[] = []
  /** A frame whose colour space comes in a line of its own. */
  #begun: Omit<FrameInfo, 'colorSpace'> | undefined
  #ended = false
  #wake = () => {}

  constructor(log: Readable, onFault: (fault: Fault) => void) {
    let damage: string | undefined
    const lines = createInterface({ input: log })
    lines.on('line', (line) => {
      const event = parseLogLine(line)
      if (event === undefined) return
      if (event.kind === 'duration') this.duration ??= event.seconds
      else if (event.kind === 'rate') this.rate ??= event
      else if (event.kind === 'color') this.#finish(event.colorSpace)
      else if (event.kind === 'damaged') damage ??= 'the decoder could not read all of it'
      else if (event.kind === 'error') {
        damage ??= event.message
        this.errors = [...this.errors.slice(1 - MOST_ERRORS), event.message]
      } else {
        this.#finish('unknown') // the frame before, of a version that does not tell colour spaces
        if (damage !== undefined) onFault({ index: this.count, message: damage })
        damage = undefined
        this.count += 1
        this.#begun = event.info
      }
    })
    lines.on('close', () => {
      if (damage !== undefined && this.count > 0) onFault({ index: this.count, message: damage })
      this.#finish('unknown')
      this.#ended = true
      this.#wake()
    })
  }

  /** The next frame; undefined at the end. */
  async next(): Promise<FrameInfo | undefined> {
    while (this.#ready.length === 0 && !this.#ended)
      await new Promise<void>((resolve) => (this.#wake = resolve))
    return this.#ready.shift()
  }

  #finish(colorSpace: string): void {
    if (this.#begun !== undefined) this.#ready.push({ ...this.#begun, colorSpace })
    this.#begun = undefined
    this.#wake()
  }
}
