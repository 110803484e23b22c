import type { Readable } from 'node:stream'

/** Copies what a pipe gives into memory of given lengths, once. Between two of them the pipe is not read. */
export class ExactReader {
  readonly #pipe: Readable
  #target: Uint8Array | undefined
  #filled = 0
  #rest: Buffer[] = []
  #ended = false
  #done: (full: boolean) => void = () => {}

  constructor(pipe: Readable) {
    this.#pipe = pipe
    pipe.pause()
    pipe.on('data', (chunk: Buffer) => this.#take(chunk))
    pipe.pause()
    for (const event of ['end', 'close', 'error'])
      pipe.on(event, () => {
        this.#ended = true
        this.#done(false)
      })
  }

  /** Returns false if the pipe ends before. */
  async fill(target: Uint8Array): Promise<boolean> {
    this.#target = target
    this.#filled = 0
    const full = new Promise<boolean>((resolve) => (this.#done = resolve))
    for (const chunk of this.#rest.splice(0)) this.#take(chunk)
    if (this.#target !== undefined) {
      if (this.#ended) return false
      this.#pipe.resume()
    }
    return full
  }

  #take(chunk: Buffer): void {
    if (this.#target === undefined) {
      this.#rest.push(chunk)
      return
    }
    const part = chunk.subarray(0, this.#target.length - this.#filled)
    this.#target.set(part, this.#filled)
    this.#filled += part.length
    if (this.#filled < this.#target.length) return
    this.#target = undefined
    if (part.length < chunk.length) this.#rest.push(chunk.subarray(part.length))
    this.#pipe.pause()
    this.#done(true)
  }
}
