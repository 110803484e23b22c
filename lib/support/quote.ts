const LONGEST = 120

/** Text from a file for an error message: quoted, escaped, and cut to one line. */
export function quoted(text: string): string {
  const line = JSON.stringify(text.length > LONGEST ? `${text.slice(0, LONGEST)}...` : text)
  // JSON leaves some of these characters as they are.
  const escaped = printable(line)
  return escaped.length > 2 * LONGEST ? `${escaped.slice(0, 2 * LONGEST)}..."` : escaped
}

/**
 * Any value from a file or a caller for an error message. Objects and lists are only named: they may be long, or have a
 * `toString` that makes `String` throw.
 */
export function shown(value: unknown): string {
  if (typeof value === 'string') return quoted(value)
  if (Array.isArray(value)) return 'a list'
  if (value === null || ['number', 'boolean', 'bigint', 'undefined'].includes(typeof value))
    return String(value).slice(0, LONGEST)
  if (typeof value === 'symbol') return quoted(String(value))
  return `a${typeof value === 'object' ? 'n object' : ` ${typeof value}`}`
}

/** As {@link shown}, but objects and lists of a caller are shown, too, as JSON has them. */
export function inJson(value: unknown): string {
  if (typeof value !== 'object') return shown(value)
  try {
    const text = JSON.stringify(value)
    return printable(text.length > 2 * LONGEST ? `${text.slice(0, 2 * LONGEST)}...` : text)
  } catch {
    return shown(value) // it has cycles, or no JSON
  }
}

/** Lists values as `[a, b, c]`. Only the first 8 are shown: a hostile file may claim a thousand axes. */
export function listed(values: readonly unknown[]): string {
  const first = values.slice(0, 8).map(shown)
  return `[${first.join(', ')}${values.length > first.length ? ', ...' : ''}]`
}

/** A path for an error message: one line. It may have 4096 bytes, and its end tells more than its beginning. */
export function shortPath(path: string, longest = 150): string {
  const shown = printable(path)
  return shown.length <= longest ? shown : `...${shown.slice(-longest)}`
}

/** Escapes the characters that a terminal obeys, and those that stand for bytes that are no text. */
function printable(text: string): string {
  return text.replace(
    /[\p{C}\p{Zl}\p{Zp}\ufffd]/gu,
    (c) => `\\u${c.codePointAt(0)!.toString(16).padStart(4, '0')}`,
  )
}
