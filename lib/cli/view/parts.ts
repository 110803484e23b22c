/** The binary parts of a page, which its JSON names. */
export class Parts {
  readonly #texts: string[] = []

  /** Adds a part; returns its name. */
  add(bytes: Uint8Array): string {
    this.#texts.push(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64'))
    return `part-${this.#texts.length - 1}`
  }

  /** The elements that hold the parts. Their type is not one that a browser runs. */
  html(): string {
    return this.#texts
      .map((text, i) => `<script type="application/octet-stream" id="part-${i}">${text}</script>\n`)
      .join('')
  }
}
