import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { type Browser, chromium, type Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { WebSocket } from 'ws'
import { scratch } from '../cli/helpers.js'
import { ffmpeg, needFfmpeg } from '../support/clips.js'
import { need } from '../support/skip.js'
import { example } from './run.js'
import { renderClip, texture } from './scenes.js'

const CHROMIUM = process.env['CHROMIUM'] ?? '/usr/bin/chromium'
const at = scratch()

let server: ChildProcess
let address: string
let browser: Browser | undefined
const told: string[] = []
beforeAll(async () => {
  server = spawn(process.execPath, [example('browser-camera/server.mjs'), '--port', '0'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  for await (const line of createInterface(server.stdout!)) {
    address = /^http:\S+/.exec(line)![0]
    break
  }
})
afterAll(async () => {
  await browser?.close()
  server.kill()
})

/** A page must write nothing to the console. */
afterEach(() => expect(told.splice(0)).toEqual([]))

/** The page, in a browser whose camera is made up. */
async function openPage(): Promise<Page> {
  need(existsSync(CHROMIUM), `chromium (${CHROMIUM})`)
  browser ??= await chromium.launch({
    executablePath: CHROMIUM,
    args: [
      '--headless',
      '--no-sandbox',
      '--disable-gpu',
      '--disable-background-networking',
      '--use-fake-device-for-media-stream',
      '--use-fake-ui-for-media-stream',
    ],
  })
  const page = await browser.newPage({ viewport: { width: 900, height: 860 } })
  page.setDefaultTimeout(30_000)
  page.on('console', (message) => told.push(message.text()))
  page.on('pageerror', (error) => told.push(String(error)))
  await page.goto(address)
  return page
}

/** Waits until an expression holds, in which `value(id)` is a figure of the page, and `colors` are all [r, g, b, a] of the flow. */
async function shown(page: Page, condition: string): Promise<void> {
  const code = `() => {
    const value = (id) => Number.parseFloat(document.getElementById(id).textContent)
    const copy = Object.assign(document.createElement('canvas'), { width: flow.width, height: flow.height })
    const context = copy.getContext('2d', { willReadFrequently: true })
    context.drawImage(flow, 0, 0)
    const { data } = context.getImageData(0, 0, flow.width, flow.height)
    const colors = Array.from({ length: data.length / 4 }, (_, i) => data.subarray(4 * i, 4 * i + 4))
    const share = (fits) => colors.filter(fits).length / colors.length
    return ${condition}
  }`
  try {
    await page.waitForFunction(`(${code})()`, undefined, { polling: 200 })
  } catch (error) {
    throw new Error(`the page says: ${await page.innerText('body')}`, { cause: error })
  }
}

describe('the camera in a browser', () => {
  test('shows the flow of the camera, its rate, latency and confidence', async () => {
    const page = await openPage()
    await shown(page, "value('fps') > 1 && value('latency') > 0 && value('latency') < 5000")
    await shown(page, "value('engine') > 0 && value('confidence') > 50 && value('confidence') <= 100")
    // A part of the made-up picture turns. All else stands still, and shows the video.
    await shown(page, '((moving) => moving > 0.002 && moving < 0.5)(share(([, , , a]) => a > 100))')
    expect(await page.textContent('#alert')).toBe('')
    await page.close()
  })

  test('shows the flow of a video file: red where all goes to the right', { tags: ['slow'] }, async () => {
    needFfmpeg()
    const wall = texture(1, [120, 120, 120])
    renderClip(at('pan.mkv'), {
      width: 160,
      height: 120,
      rate: 15,
      frames: 60,
      paint: (frame) => (x, y, into) => wall(x - 0.8 * frame, y, into),
    })
    ffmpeg('-i', at('pan.mkv'), '-c:v', 'libvpx', '-b:v', '2M', '-deadline', 'realtime', at('pan.webm'))
    const page = await openPage()
    await page.setInputFiles('#file', at('pan.webm'))
    // 12 px a second, and twice as many at 320 pixels of width.
    await shown(page, "value('motion') > 12 && value('motion') < 48")
    await shown(page, 'share(([r, g, b, a]) => r > g + 50 && r > b + 50 && a > 40) > 0.7')
    await page.close()
  })

  test('says that the server has ended, and what it refuses', async () => {
    const closed = (origin: string, message?: Uint8Array) =>
      new Promise<string>((resolve) => {
        const socket = new WebSocket(address.replace('http', 'ws'), { origin })
        socket.on('open', () => socket.send(message ?? ''))
        socket.on('close', (code, reason) => resolve(`${code} ${reason.toString()}`))
        socket.on('error', (error) => resolve(error.message))
      })
    expect(await closed('http://elsewhere.example')).toContain('401')
    expect(await closed(address, new Uint8Array(5))).toBe('1008 a message has 12 bytes of header')
    const short = new Uint8Array(12 + 100)
    new DataView(short.buffer).setUint16(8, 64, true)
    new DataView(short.buffer).setUint16(10, 48, true)
    expect(await closed(address, short)).toMatch(/^1008 frame: .*64 x 48 rgba/)
    expect((await fetch(`${address}/nothing`)).status).toBe(404)
  })
})
