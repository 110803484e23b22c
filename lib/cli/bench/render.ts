import { columns, type Row, table, wrapped } from '../table.js'
import type { Section } from './sections.js'

/** For a terminal. */
export function toText(sections: readonly Section[], width: number): string[] {
  return sections.flatMap(({ title, rows, notes }, i) => [
    ...(i === 0 ? [] : ['']),
    title,
    ...(isText(rows)
      ? table(rows.slice(1) as unknown as readonly Row[])
      : columns(rows).map((line) => line.trimEnd())),
    ...notes.flatMap((note) => wrapped(note, width)),
  ])
}

/** Tables as GitHub has them. */
export function toMarkdown(sections: readonly Section[]): string[] {
  const cell = (text: string) => text.replaceAll('|', '\\|')
  return sections.flatMap(({ title, rows, notes }) => {
    const [head, ...body] = rows
    const line = (cells: readonly string[]) => `| ${cells.map(cell).join(' | ')} |`
    const rule = `| ${head!.map((_, i) => (i === 0 || isText(rows) ? '---' : '--:')).join(' | ')} |`
    return [
      `### ${title}`,
      '',
      line(head!),
      rule,
      ...body.map(line),
      '',
      ...notes.map((note) => `- ${note}`),
      '',
    ]
  })
}

/** Whether a table has facts, which are aligned to the left, instead of figures. */
export function isText(rows: Section['rows']): boolean {
  return rows[0]!.length === 2
}
