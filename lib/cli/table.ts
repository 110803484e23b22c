/** A row of a summary: a label and its value. Further values go below the first. */
export type Row = readonly [label: string, ...values: string[]]

/** Aligns the values of rows in one column. */
export function table(rows: readonly Row[], indent = ''): string[] {
  const width = Math.max(...rows.map(([label]) => label.length)) + 2
  return rows.flatMap(([label, ...values]) =>
    values.map((value, i) => `${indent}${(i === 0 ? label : '').padEnd(width)}${value}`),
  )
}

/** Aligns cells in columns: the first to the left, the others, which are numbers, to the right. */
export function columns(rows: readonly (readonly string[])[]): string[] {
  const widths = rows[0]!.map((_, i) => Math.max(...rows.map((row) => row[i]!.length)))
  return rows.map((row) =>
    row.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!))).join('  '),
  )
}

/** Breaks a text between words into lines of a width. A longer word has a line of its own. */
export function wrapped(text: string, width: number): string[] {
  const lines = ['']
  for (const word of text.split(' ')) {
    const last = lines.at(-1)!
    if (last !== '' && last.length + 1 + word.length > width) lines.push(word)
    else lines[lines.length - 1] = last === '' ? word : `${last} ${word}`
  }
  return lines
}
