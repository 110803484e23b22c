import { expect, test } from 'vitest'
import { textOf } from './pages.js'

/** The codes that the type lists. */
function codesOfType(): string[] {
  const [, union] = /export type FlowErrorCode =([^]*?)\n\n/.exec(textOf('lib/errors.ts'))!
  return [...union!.matchAll(/'(ERR_\w+)'/g)].map(([, code]) => code!)
}

/** The cells of the rows that begin with a code. */
function rowsOf(text: string): string[][] {
  return [...text.matchAll(/^[ *]*\| `(ERR_\w+)` (.*)\|$/gm)].map(([, code, rest]) => [
    code!,
    ...rest!
      .split('|')
      .slice(1)
      .map((cell) => cell.trim()),
  ])
}

const CODES = codesOfType()

test('the type lists codes', () => expect(CODES).toContain('ERR_QUEUE_FULL'))

test('the guide has every code of the type and no other, in its order, with a cause and a remedy', () => {
  const rows = rowsOf(textOf('docs/guide/errors.md'))
  expect(rows.map(([code]) => code)).toEqual(CODES)
  for (const row of rows)
    expect(row).toEqual([row[0], expect.stringMatching(/\.$/), expect.stringMatching(/\.$/)])
})

test('so has the docstring of FlowError', () => {
  expect(rowsOf(textOf('lib/errors.ts')).map(([code]) => code)).toEqual(CODES)
})
