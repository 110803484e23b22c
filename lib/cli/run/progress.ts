import type { Output } from '../cli.js'

const PATIENCE_MS = 1000
const REDRAW_MS = 200
const ERASE_LINE = '\r\x1b[2K'

/**
 * One line on a terminal that says what takes so long, and is gone when it is over. Nothing at all for work of less than a
 * second, and nothing where stderr is not a terminal: a log is no place for it.
 */
export class Progress {
  readonly #out: Output
  readonly #timer: NodeJS.Timeout | undefined
  #text = ''
  #since = performance.now()
  #visible = false

  constructor(out: Output, mode: 'shown' | 'hidden') {
    this.#out = out
    if (mode === 'hidden' || out.isTTY !== true) return
    this.#timer = setInterval(() => this.#draw(), REDRAW_MS)
    this.#timer.unref()
  }

  /** Says what is going on from now on. */
  stage(text: string): void {
    this.#since = performance.now()
    this.#text = text
  }

  /** Says how far the stage has come, 0 to 1. */
  reached(share: number): void {
    this.#text = `${this.#text.replace(/ \d+ %$/, '')} ${Math.floor(100 * share)} %`
  }

  end(): void {
    clearInterval(this.#timer)
    if (this.#visible) this.#out.write(ERASE_LINE)
    this.#visible = false
  }

  #draw(): void {
    const elapsed = performance.now() - this.#since
    if (!this.#visible && elapsed < PATIENCE_MS) return
    this.#visible = true
    this.#out.write(`${ERASE_LINE}${this.#text} (${(elapsed / 1000).toFixed(0)} s)`)
  }
}
