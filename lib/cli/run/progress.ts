import type { Output } from '../cli.js'

const PATIENCE_MS = 1000
const REDRAW_MS = 200
const ERASE_LINE = '\r\x1b[2K'

/**
 * One line on a terminal that names the current stage of the work. It appears when a stage has taken a second, and is erased
 * at the end. It never appears if stderr is not a terminal, because it does not belong in a log.
 */
export class Progress {
  readonly #out: Output
  readonly #timer: NodeJS.Timeout | undefined
  #text = ''
  #elapsed: 'shown' | 'hidden' = 'shown'
  #since = performance.now()
  #visible = false

  constructor(out: Output, mode: 'shown' | 'hidden') {
    this.#out = out
    if (mode === 'hidden' || out.isTTY !== true) return
    this.#timer = setInterval(() => this.#draw(), REDRAW_MS)
    this.#timer.unref()
  }

  /** Begins a stage. */
  stage(text: string): void {
    this.#since = performance.now()
    this.#text = text
    this.#elapsed = 'shown'
  }

  /** Replaces the text of a stage that is told in the caller's own words. */
  tell(text: string): void {
    this.#text = text
    this.#elapsed = 'hidden'
  }

  /** Sets how much of the stage is done, 0 to 1. */
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
    const seconds = this.#elapsed === 'shown' ? ` (${(elapsed / 1000).toFixed(0)} s)` : ''
    this.#out.write(`${ERASE_LINE}${this.#text}${seconds}`)
  }
}
