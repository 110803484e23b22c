const LONGEST = 120

/** Text from a file, fit for a message: quoted, escaped, and never longer than a line. */
export function quoted(text: string): string {
  return JSON.stringify(text.length > LONGEST ? `${text.slice(0, LONGEST)}...` : text)
}

/**
 * Any value from a file, fit for a message. Objects and lists are only named: what `String` makes of them is up to whoever
 * wrote the file, and may throw.
 */
export function shown(value: unknown): string {
  if (typeof value === 'string') return quoted(value)
  if (Array.isArray(value)) return 'a list'
  if (value === null || ['number', 'boolean', 'bigint', 'undefined'].includes(typeof value))
    return String(value).slice(0, LONGEST)
  return `a${typeof value === 'object' ? 'n object' : ` ${typeof value}`}`
}

/** `[a, b, c]`, cut short where a hostile file claims a thousand axes. */
export function listed(values: readonly unknown[]): string {
  const first = values.slice(0, 8).map(shown)
  return `[${first.join(', ')}${values.length > first.length ? ', ...' : ''}]`
}
