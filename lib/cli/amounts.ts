/** `251 ms`, `1.25 s`. */
export function duration(milliseconds: number): string {
  if (milliseconds >= 1000) return `${(milliseconds / 1000).toFixed(2)} s`
  return `${milliseconds < 10 ? milliseconds.toFixed(1) : milliseconds.toFixed(0)} ms`
}

/** `1.2 MB`, in powers of 1000. */
export function byteCount(bytes: number): string {
  const units = ['kB', 'MB', 'GB', 'TB']
  if (bytes < 1000) return `${bytes} B`
  let value = bytes / 1000
  let unit = 0
  for (; value >= 999.5 && unit < units.length - 1; unit++) value /= 1000
  return `${value.toFixed(value < 9.95 ? 1 : 0)} ${units[unit]}`
}

/** `1024 x 436`: width first, as in all output. Only in options and arguments the height comes first. */
export function dimensions({ width, height }: { readonly width: number; readonly height: number }): string {
  return `${width} x ${height}`
}

/** `2.31 px`; `unknown` for NaN. */
export function pixels(value: number): string {
  return Number.isNaN(value) ? 'unknown' : `${value.toFixed(2)} px`
}

/** `1 tensor`, `2 tensors`. */
export function count(n: number, noun: string): string {
  return `${n} ${noun}${n === 1 ? '' : 's'}`
}
