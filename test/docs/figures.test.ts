import { existsSync, readFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { format, resolveConfig } from 'prettier'
import { describe, expect, test } from 'vitest'
import { benchReports, FIGURES, figuresAsMarkdown, type FiguresName } from '../../docs/.vitepress/figures.js'
import { pagesOf, ROOT, textOf } from './pages.js'

const RESULTS = new URL('../../bench/results/', import.meta.url)
const NAMES = Object.keys(FIGURES) as FiguresName[]

/** What stands between these two is made by this test's `-u`. */
const BLOCK = /(<!-- figures: (\w+) -->\n)[^]*?(<!-- \/figures -->)/g
const PAGES = pagesOf('README.md', 'weights', 'docs').filter((page) =>
  textOf(page).includes('<!-- figures: '),
)
/** The tables that pages show, by name. */
const SHOWN = PAGES.flatMap((page) => [...textOf(page).matchAll(BLOCK)].map(([, , name]) => name!))

test.each(PAGES)('%s has the figures of the newest files', async (page) => {
  const results = relative(dirname(page), 'bench/results')
  const text = textOf(page).replace(
    BLOCK,
    (_, open, name: FiguresName, close) => `${open}\n${figuresAsMarkdown(name, results)}\n\n${close}`,
  )
  const path = join(ROOT, page)
  const formatted = await format(text, { ...(await resolveConfig(path)), filepath: path })
  await expect(formatted).toMatchFileSnapshot(path) // npx vitest run test/docs/figures.test.ts -u
})

describe.each(NAMES)('the table %s', (name) => {
  const { rows, runs } = FIGURES[name]()

  test('has cells in all of its rows', () => {
    expect(rows.length).toBeGreaterThan(1)
    for (const row of rows.slice(1)) {
      expect(row).toHaveLength(rows[0]!.length)
      expect(row.join(' ')).not.toMatch(/NaN|undefined|null/)
    }
  })

  test('names files that exist, with their machine and command', () => {
    for (const { file, date, machine, command } of runs) {
      expect(existsSync(new URL(file, RESULTS)), file).toBe(true)
      expect(date).toMatch(/^\d{4}-\d\d-\d\d$/)
      expect(machine).toMatch(/^(AMD EPYC|Intel.*), .*Node v\d/)
      expect(command).toMatch(/^(node bench\/|dinov3-flow bench |python3 -m dinov3_flow\.evaluation )/)
    }
  })

  test('is shown by a page', () => expect(SHOWN).toContain(name))
})

test('pages show only tables that there are', () => {
  expect(SHOWN.filter((name) => !(NAMES as string[]).includes(name))).toEqual([])
})

test('a figure is that of its file', () => {
  const { rows, runs } = FIGURES.presets()
  const { frames, scenarios } = JSON.parse(readFileSync(new URL(runs[0]!.file, RESULTS), 'utf8'))
  const fast = scenarios[0].results.find(({ name }: { name: string }) => name === 'preset=fast')
  expect(rows[1]![0]).toBe(`${frames.width}\u00a0x\u00a0${frames.height}`)
  expect(rows[0]![1]).toBe('fast')
  const [p50, p99] = rows[1]![1]!.match(/[\d.]+/g)!.map(Number)
  expect(p50).toBeCloseTo(fast.latency.p50, 0)
  expect(p99).toBeCloseTo(fast.latency.p99, 0)
})

test('every report of bench has a page', () => {
  expect(benchReports().map(({ name }) => name)).toContain('2026-11-29-epyc-avx512-camera')
})
