import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { extname, join } from 'node:path'
import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { call } from '../cli/helpers.js'
import { need } from '../support/skip.js'
import { ROOT } from './pages.js'

const CHROMIUM = process.env['CHROMIUM'] ?? '/usr/bin/chromium'
const VITEPRESS = join(ROOT, 'docs/node_modules/vitepress')
/** Not the root of its host, so that an address without the base is found. */
const BASE = '/flow/'
const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html',
  '.js': 'text/javascript',
  '.css': 'text/css',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
  '.jpg': 'image/jpeg',
}

describe('the site of the documentation', { tags: ['slow'] }, () => {
  let folder = ''
  let server: Server | undefined
  let browser: Browser | undefined
  let host = ''

  beforeAll(async () => {
    if (!existsSync(VITEPRESS) || !existsSync(CHROMIUM)) return
    folder = mkdtempSync(join(tmpdir(), 'site-'))
    // Fails on dead links, on types, and on whatever typedoc warns of.
    const { status, stdout, stderr } = spawnSync('npm', ['run', 'build', '--', '--outDir', folder], {
      cwd: join(ROOT, 'docs'),
      encoding: 'utf8',
      env: { ...process.env, DOCS_BASE: BASE, NODE_ENV: 'production' },
    })
    expect(status, stdout + stderr).toBe(0)
    server = createServer((request, response) => {
      const path = decodeURI(new URL(request.url!, 'http://site').pathname)
      const file = join(
        folder,
        path.endsWith('/') ? `${path.slice(BASE.length)}index.html` : path.slice(BASE.length),
      )
      const found = path.startsWith(BASE) && existsSync(file)
      response.writeHead(found ? 200 : 404, { 'content-type': TYPES[extname(file)] ?? 'text/plain' })
      response.end(found ? readFileSync(file) : '')
    })
    await new Promise<void>((resolve) => server!.listen(0, '127.0.0.1', resolve))
    host = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    browser = await chromium.launch({
      executablePath: CHROMIUM,
      args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-background-networking'],
    })
  }, 300_000)
  afterAll(async () => {
    await browser?.close()
    server?.close()
    if (folder !== '') rmSync(folder, { recursive: true })
  })

  /** Opens a page, looks at it, and returns what went wrong meanwhile: errors, what is missing, what is asked of other hosts. */
  async function open(
    path: string,
    look: (page: Page) => Promise<void>,
    options: BrowserContextOptions = {},
  ): Promise<readonly string[]> {
    need(existsSync(VITEPRESS), 'npm ci --prefix docs')
    need(existsSync(CHROMIUM), `chromium (${CHROMIUM})`)
    const wrong: string[] = []
    const context = await browser!.newContext(options)
    try {
      const page = await context.newPage()
      page.on('console', (message) => wrong.push(`console: ${message.text()}`))
      page.on('pageerror', (error) => wrong.push(`error: ${error.message}`))
      page.on('request', (request) => {
        const url = request.url()
        if (!url.startsWith(host) && !url.startsWith('data:')) wrong.push(`asks for ${url}`)
      })
      page.on('response', (response) => {
        if (!response.ok()) wrong.push(`${response.status()}: ${response.url()}`)
      })
      await page.goto(host + BASE + path, { waitUntil: 'networkidle' })
      await look(page)
      return wrong
    } finally {
      await context.close()
    }
  }

  const heading = (page: Page) => page.locator('h1').first().innerText()

  test.each([
    ['', 'dinov3-flow'],
    ['guide/camera-to-robot.html', 'From camera to robot'],
    ['reference/classes/FlowModel.html', 'Class: FlowModel'],
    ['cli/', 'Command line'],
    ['figures/', 'Figures'],
    ['model-card.html', 'weights'],
    ['changelog.html', 'Changelog'],
  ])('opens /%s without a fault, and asks no other host for anything', async (path, title) => {
    expect(await open(path, async (page) => expect(await heading(page)).toContain(title))).toEqual([])
  })

  test.each(['light', 'dark'] as const)('is %s where the system is', async (colorScheme) => {
    const look = async (page: Page) => {
      const light = await page.evaluate<number>(
        `Number(getComputedStyle(document.body).backgroundColor.match(/\\d+/)[0])`,
      )
      expect(light > 128 ? 'light' : 'dark').toBe(colorScheme)
    }
    expect(await open('guide/streams.html', look, { colorScheme })).toEqual([])
  })

  test.each(['', 'guide/errors.html', 'figures/', 'cli/bench.html', 'model-card.html'])(
    'fits a narrow screen: /%s',
    async (path) => {
      const look = async (page: Page) =>
        expect(await page.evaluate<number>('document.documentElement.scrollWidth')).toBeLessThanOrEqual(390)
      expect(await open(path, look, { viewport: { width: 390, height: 800 } })).toEqual([])
    },
  )

  test('finds words without a server', async () => {
    const look = async (page: Page) => {
      await page.locator('#local-search button').click()
      await page.locator('#localsearch-input').fill('coordinated omission')
      await page.locator('.results a[href*="camera-to-robot"]').first().waitFor()
    }
    expect(await open('', look)).toEqual([])
  })

  test('the page of a command is its --help', async () => {
    const { out } = await call('video', '--help')
    const look = async (page: Page) =>
      expect((await page.locator('.language-text code').innerText()).trim()).toBe(out.trim())
    expect(await open('cli/video.html', look)).toEqual([])
  })

  test('a link to source code, which the site does not have, is text', async () => {
    const look = async (page: Page) => {
      const card = page.locator('.vp-doc')
      expect(await card.innerText()).toContain('training/dinov3_flow/scenes')
      expect(await card.locator('a[href*="training"]').count()).toBe(0)
      expect(await card.locator('a[href*="/figures/2026-"]').count()).toBeGreaterThan(0)
    }
    expect(await open('model-card.html', look)).toEqual([])
  })
})
