/** A row of a summary: a label and its value. Further values go below the first. */
export type Row = readonly [label: string, ...values: string[]]

/** Aligns the values of rows in one column. */
export function table(rows: readonly Row[], indent = ''): string[] {
  const width = Math.max(...rows.map(([label]) => label.length)) + 2
  return rows.flatMap(([label, ...values]) =>
    values.map((value, i) => `${indent}${(i === 0 ? label : '').padEnd(width)}${value}`),
  )
}
