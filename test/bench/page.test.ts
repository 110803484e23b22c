import { existsSync, writeFileSync } from 'node:fs'
import { pathToFileURL } from 'node:url'
import { type Browser, chromium, type Page } from 'playwright-core'
import { afterAll, describe, expect, test } from 'vitest'
import { writePage } from '../../lib/cli/bench/page.js'
import { sectionsOf } from '../../lib/cli/bench/sections.js'
import { scratch } from '../cli/helpers.js'
import { need } from '../support/skip.js'
import { type MadeUp, reportOf } from './reports.js'

const CHROMIUM = process.env['CHROMIUM'] ?? '/usr/bin/chromium'
const path = scratch()
let browser: Browser | undefined
afterAll(() => browser?.close())

/** Opens the page of a report, without a network. It must ask for nothing but itself, and complain of nothing. */
async function open(
  made: MadeUp,
  colorScheme: 'light' | 'dark' = 'light',
): Promise<{ page: Page; told: string[] }> {
  need(existsSync(CHROMIUM), `chromium (${CHROMIUM})`)
  browser ??= await chromium.launch({
    executablePath: CHROMIUM,
    args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-background-networking'],
  })
  const context = await browser.newContext({ viewport: { width: 1100, height: 900 }, colorScheme })
  await context.setOffline(true)
  const page = await context.newPage()
  const file = path(`page-${pages++}.html`)
  const report = reportOf(made)
  writeFileSync(file, await writePage(report, sectionsOf(report)))
  const told: string[] = []
  const { href } = pathToFileURL(file)
  page.on('console', (message) => told.push(message.text()))
  page.on('pageerror', (error) => told.push(error.message))
  page.on('request', (request) => request.url() !== href && told.push(request.url()))
  await page.goto(href)
  return { page, told }
}
let pages = 0

/** How many pixels of each colour a plot has: only colours of the contenders, by their names. */
function countColors(page: Page, plot: number, colors: readonly string[]): Promise<number[]> {
  const code = `(() => {
    const canvas = document.querySelectorAll('figure canvas')[${plot}]
    const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height)
    return ${JSON.stringify(colors)}.map((color) => {
      const [r, g, b] = color.match(/[0-9a-f]{2}/g).map((hex) => parseInt(hex, 16))
      let n = 0
      for (let i = 0; i < data.length; i += 4) n += data[i] === r && data[i + 1] === g && data[i + 2] === b && data[i + 3] === 255
      return n
    })
  })()`
  return page.evaluate<number[]>(code)
}

describe('the page', () => {
  const COLORS = { light: ['0072b2', 'd55e00'], dark: ['56b4e9', 'ff9d5c'] } as const

  test.each(['light', 'dark'] as const)('draws every contender in every plot, %s', async (scheme) => {
    const { page, told } = await open({ names: ['dinov3-flow', 'preset=fast'], missed: 3 }, scheme)
    await expect.poll(() => page.locator('[data-drawn] canvas').count()).toBe(3)
    for (const plot of [0, 1, 2])
      for (const n of await countColors(page, plot, COLORS[scheme])) expect(n).toBeGreaterThan(100)
    expect(await page.locator('.legend li').allTextContents()).toEqual(['dinov3-flow', 'preset=fast'])
    expect(told).toEqual([])
  })

  test('changes its colours with the system', async () => {
    const { page } = await open({ names: ['dinov3-flow', 'preset=fast'] })
    await expect.poll(() => page.locator('[data-drawn] canvas').count()).toBe(3)
    await page.emulateMedia({ colorScheme: 'dark' })
    await expect.poll(async () => (await countColors(page, 1, COLORS.dark)).every((n) => n > 100)).toBe(true)
  })

  test('says what is under the pointer, and to those who do not see it what a plot shows', async () => {
    const { page } = await open({})
    const plot = page.locator('figure', { hasText: 'Percentiles' })
    await plot.locator('[data-drawn]').waitFor()
    await plot.locator('.u-over').hover()
    await expect
      .poll(() => plot.locator('output').textContent())
      .toMatch(/^\d+(\.\d+)? %: dinov3-flow (1\d\d|9\d\.\d) ms$/)
    const label = await plot.locator('[role=img]').getAttribute('aria-label')
    const told = /dinov3-flow: half within ([\d.]+) ms, 99 % within ([\d.]+) ms/.exec(label!)!
    const { p50, p99 } = reportOf({}).scenarios[0]!.results[0]!.latency
    expect(Number(told[1]) / p50).toBeCloseTo(1, 2)
    expect(Number(told[2]) / p99).toBeCloseTo(1, 2)
  })

  test('has the tables without its script, fits a narrow window, and keeps names of contenders text', async () => {
    const { page, told } = await open({ names: ['dinov3-flow', '</script><b>x</b>'] })
    await expect.poll(() => page.locator('[data-drawn] canvas').count()).toBe(3)
    await page.setViewportSize({ width: 380, height: 700 })
    await expect.poll(() => page.evaluate<number>('document.documentElement.scrollWidth')).toBe(380)
    expect(await page.locator('table').count()).toBe(4)
    expect(await page.locator('.legend li').last().textContent()).toBe('</script><b>x</b>')
    expect(told).toEqual([])
  })
})
