import { existsSync } from 'node:fs'
import { pathToFileURL } from 'node:url'
import {
  type Browser,
  type BrowserContext,
  type BrowserContextOptions,
  chromium,
  type Page,
} from 'playwright-core'
import { afterAll, afterEach, expect } from 'vitest'
import { need } from '../support/skip.js'

const CHROMIUM = process.env['CHROMIUM'] ?? '/usr/bin/chromium'

/** A page of the tests, and what the figures of its readout say. */
export interface OpenPage {
  readonly page: Page
  /** The text of a figure: `pixel`, `vector`, `length`, ... */
  readonly read: (id: string) => Promise<string | null>
  /** The texts of all figures, by their names. */
  readonly readAll: () => Promise<Readonly<Record<string, string>>>
  /** The colour of the stage at a place, in CSS pixels from its left upper corner. */
  readonly colorAt: (x: number, y: number) => Promise<readonly number[]>
  /** The place on the stage of the centre of a pixel of the grid, while the whole picture is seen. */
  readonly placeOf: (column: number, row: number) => { readonly x: number; readonly y: number }
  /** Moves the mouse to the centre of a pixel of the grid. */
  readonly pointAt: (column: number, row: number) => Promise<void>
}

/**
 * Opens pages in one headless Chromium, without a network. After each test, a page must have asked for nothing but itself, and have
 * written nothing to the console.
 */
export function browserForTests(): (
  path: string,
  grid: { readonly width: number; readonly height: number },
  options?: BrowserContextOptions,
) => Promise<OpenPage> {
  let browser: Browser | undefined
  let shared: BrowserContext | undefined
  const opened: (Page | BrowserContext)[] = []
  const told: string[] = []
  afterEach(async () => {
    for (const each of opened.splice(0)) await each.close()
    expect(told.splice(0)).toEqual([])
  })
  afterAll(() => browser?.close())
  const newContext = async (options: BrowserContextOptions): Promise<BrowserContext> => {
    browser ??= await chromium.launch({
      executablePath: CHROMIUM,
      args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-background-networking'],
    })
    const context = await browser.newContext({ viewport: { width: 1000, height: 700 }, ...options })
    context.setDefaultTimeout(20_000)
    await context.setOffline(true)
    return context
  }
  return async (path, grid, options) => {
    need(existsSync(CHROMIUM), `chromium (${CHROMIUM})`)
    const context = options === undefined ? (shared ??= await newContext({})) : await newContext(options)
    const page = await context.newPage()
    opened.push(options === undefined ? page : context)
    const { href } = pathToFileURL(path)
    page.on('console', (message) => told.push(`console: ${message.text()}`))
    page.on('pageerror', (error) => told.push(`error: ${error.message}`))
    page.on('dialog', (dialog) => told.push(`dialog: ${dialog.message()}`))
    page.on('request', (request) => {
      if (request.url() !== href) told.push(`request: ${request.url()}`)
    })
    await page.goto(href)
    await page.locator('#stage[data-drawn="0"], [role=alert]').waitFor()
    const stage = (await page.locator('#stage').boundingBox())!
    const scale = Number(await page.locator('#stage').getAttribute('data-zoom'))
    const placeOf = (column: number, row: number) => ({
      x: (stage.width - scale * grid.width) / 2 + scale * (column + 0.5),
      y: (stage.height - scale * grid.height) / 2 + scale * (row + 0.5),
    })
    return {
      page,
      read: (id) => page.locator(`#read-${id}`).textContent(),
      readAll: () =>
        page.evaluate<Record<string, string>>(
          `Object.fromEntries([...document.querySelectorAll('output')].map(({ id, value }) => [id.slice(5), value]))`,
        ),
      colorAt: async (x, y) => {
        // A frame of the screen later, all that was asked for is drawn.
        const code = `new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(() => {
          const copy = document.createElement('canvas').getContext('2d', { willReadFrequently: true })
          copy.drawImage(document.querySelector('#stage canvas'), ${-Math.round(x)}, ${-Math.round(y)})
          resolve([...copy.getImageData(0, 0, 1, 1).data])
        })))`
        return (await page.evaluate<number[]>(code)).slice(0, 3)
      },
      placeOf,
      pointAt: async (column, row) => {
        const { x, y } = placeOf(column, row)
        await page.mouse.move(stage.x + x, stage.y + y)
      },
    }
  }
}

/** The numbers of a figure's text, with the minus of typography. */
export function numbersOf(text: string | null | undefined): number[] {
  return (
    (text ?? '')
      .replaceAll('−', '-')
      .match(/-?\d+(\.\d+)?/g)
      ?.map(Number) ?? []
  )
}
