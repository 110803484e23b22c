import type { Reporter, TestModule } from 'vitest/node'
import type { Figure } from './figures.js'

/** Prints the figures of all tests as one table, after the tests. */
export class FiguresReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[]): void {
    const figures = modules.flatMap((module) =>
      [...module.children.allTests()].flatMap((test) => test.meta().figures ?? []),
    )
    if (figures.length > 0) console.log(`\n${table(worstOfEach(figures))}\n`)
  }
}

/** The largest figure of each name, in the order of their first appearance. NaN counts as the largest. */
export function worstOfEach(figures: readonly Figure[]): Figure[] {
  const worst = new Map<string, Figure>()
  for (const figure of figures) {
    const known = worst.get(figure.what)
    if (known === undefined || figure.measured > known.measured || Number.isNaN(figure.measured))
      worst.set(figure.what, figure)
  }
  return [...worst.values()]
}

function table(figures: readonly Figure[]): string {
  const rows = [
    ['figure', 'bar', 'measured'],
    ...figures.map(({ what, bar, measured }) => [what, format(bar), format(measured)]),
  ]
  const widths = [0, 1, 2].map((column) => Math.max(...rows.map((row) => row[column]!.length)))
  const rule = widths.map((width) => '-'.repeat(width))
  return [rows[0]!, rule, ...rows.slice(1)]
    .map((row) =>
      row
        .map((cell, column) => (column === 0 ? cell.padEnd(widths[0]!) : cell.padStart(widths[column]!)))
        .join('  '),
    )
    .join('\n')
}

/** Two digits, in powers of ten where the number is small. */
function format(value: number): string {
  return value !== 0 && Math.abs(value) < 1e-3 ? value.toExponential(1) : String(Number(value.toPrecision(2)))
}
