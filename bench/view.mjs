// The page that `view` writes of two pictures: how large it is without them, and how long it takes from its address to its first
// drawing in a headless Chromium, a new tab each time.
//
//   node bench/view.mjs [--first FILE --second FILE] [--runs N] [--chromium FILE] [--json FILE]
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { pathToFileURL } from 'node:url'
import { parseArgs } from 'node:util'
import { chromium } from 'playwright-core'
import { circumstances, ROOT, saveReport, summary } from './lib.mjs'

const seed = (name) => path.join(ROOT, 'test/fixtures/seed', name)
const { values: options } = parseArgs({
  options: {
    first: { type: 'string', default: seed('frame1_source.png') },
    second: { type: 'string', default: seed('frame2_source.png') },
    runs: { type: 'string', default: '20' },
    chromium: { type: 'string', default: process.env.CHROMIUM ?? '/usr/bin/chromium' },
    json: { type: 'string' },
  },
})

const folder = mkdtempSync(path.join(tmpdir(), 'bench-view-'))
const browser = await chromium.launch({
  executablePath: options.chromium,
  args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-background-networking'],
})
try {
  const page = path.join(folder, 'view.html')
  const program = path.join(ROOT, 'dist/cli/index.js')
  execFileSync(process.execPath, [program, 'view', options.first, options.second, '-o', page, '-q'])
  const html = readFileSync(page, 'utf8')
  const data = JSON.parse(/id="page-data">([^<]*)</.exec(html)[1])
  const pictures = data.pictures.map((name) => new RegExp(`id="${name}">([^<]*)<`).exec(html)[1].length)
  const opened = []
  for (let run = 0; run < Number(options.runs); run++) {
    const context = await browser.newContext({ viewport: { width: 1280, height: 800 } })
    const tab = await context.newPage()
    await tab.goto(pathToFileURL(page).href)
    await tab.locator('#stage[data-drawn]').waitFor()
    opened.push(await tab.evaluate(() => performance.getEntriesByName('first flow drawn')[0].startTime))
    await context.close()
  }
  const report = {
    ...circumstances(`node bench/view.mjs ${process.argv.slice(2).join(' ')}`.trim()),
    browser: browser.version(),
    size: data.size,
    pageBytes: html.length,
    pictureBytes: pictures.reduce((sum, bytes) => sum + bytes, 0),
    openMs: summary(opened),
  }
  const { pageBytes, pictureBytes, openMs } = report
  const megabytes = (bytes) => `${(bytes / 1e6).toFixed(2)} MB`
  console.log(
    `${data.size.width} x ${data.size.height}: ${megabytes(pageBytes)}, pictures ${megabytes(pictureBytes)}, rest ${megabytes(pageBytes - pictureBytes)}`,
  )
  console.log(
    `opens in p50 ${openMs.p50.toFixed(0)} ms, p95 ${openMs.p95.toFixed(0)} ms, p99 ${openMs.p99.toFixed(0)} ms`,
  )
  saveReport(options.json, report)
} finally {
  await browser.close()
  rmSync(folder, { recursive: true })
}
