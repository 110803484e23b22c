/**
 * A file's bytes are not what they should be. Thrown by the parsers, which know no path: `openCheckpoint` turns it into a
 * `FlowError` that names the file. Its message goes on after "<file>: ".
 */
export class Malformed extends Error {
  override readonly name = 'Malformed'
}

const LONGEST = 120

/** Text from a file, fit for a message: quoted, escaped, and never longer than a line. */
export function quoted(text: string): string {
  return JSON.stringify(text.length > LONGEST ? `${text.slice(0, LONGEST)}...` : text)
}

/** `[a, b, c]`, cut short where a hostile file claims a thousand axes. */
export function listed(values: readonly unknown[]): string {
  const shown = values.slice(0, 8).map(String)
  return `[${shown.join(', ')}${values.length > shown.length ? ', ...' : ''}]`
}
