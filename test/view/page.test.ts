import { mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import sharp from 'sharp'
import { beforeAll, describe, expect, test } from 'vitest'
import { FlowField, flowToColor, writeFlow, writeMap } from '../../lib/index.js'
import { call, scratch } from '../cli/helpers.js'
import { noiseFrame, type RgbFrame } from '../support/fixtures.js'
import { browserForTests, numbersOf } from './browser.js'

const at = scratch()
const open = browserForTests()

const SIZE = { width: 96, height: 64 } as const
const SHIFT = 6

/** Motions of every direction, fractions of pixels, and a corner that is unknown. */
const flow = field((x, y) => [(x - 40) / 7, Math.sin(y / 9) * 12 + x / 100], isInCorner)
const truth = field((x, y) => [(x - 40) / 7 + 0.5, Math.sin(y / 9) * 12 + x / 100 - 1.25])
/** Everything moves to the right. */
const shift = field(() => [SHIFT, 0])
const noise = noiseFrame(SIZE.width, SIZE.height, 3)
const moved = moveRight(noise)

function field(
  motion: (x: number, y: number) => readonly [number, number],
  isUnknown: (x: number, y: number) => boolean = () => false,
): FlowField {
  const { width, height } = SIZE
  const made = new FlowField(width, height)
  for (let i = 0; i < width * height; i++) {
    const [x, y] = [i % width, Math.floor(i / width)]
    ;[made.x[i], made.y[i]] = isUnknown(x, y) ? [NaN, NaN] : motion(x, y)
  }
  return made
}

function isInCorner(x: number, y: number): boolean {
  return x < 12 && y < 10
}

function moveRight({ data, width, height }: RgbFrame): RgbFrame {
  const result = new Uint8Array(data.length)
  for (let row = 0; row < height; row++)
    for (let column = SHIFT; column < width; column++)
      for (let channel = 0; channel < 3; channel++)
        result[3 * (row * width + column) + channel] = data[3 * (row * width + column - SHIFT) + channel]!
  return { data: result, width, height }
}

function pixelOf(
  { data, width }: { readonly data: Uint8Array; readonly width: number },
  x: number,
  y: number,
) {
  return [...data.subarray(3 * (y * width + x), 3 * (y * width + x) + 3)]
}

function savePicture(name: string, { data, width, height }: RgbFrame) {
  return sharp(data, { raw: { width, height, channels: 3 } }).toFile(at(name))
}

/** Both within two levels: resampling and rounding. */
function expectColor(actual: readonly number[], expected: readonly number[]): void {
  actual.forEach((level, channel) => expect(Math.abs(level - expected[channel]!)).toBeLessThanOrEqual(2))
}

beforeAll(async () => {
  await Promise.all([
    writeFlow(at('flow.flo'), flow),
    writeFlow(at('truth.flo'), truth),
    writeFlow(at('shift.flo'), shift),
    writeFlow(
      at('back.flo'),
      field(() => [-SHIFT, 0.5]),
    ),
    savePicture('1.png', noise),
    savePicture('2.png', moved),
    writeMap(at('sure.npy'), { ...SIZE, data: flow.x.map((_, i) => (i % SIZE.width) / 100) }),
    writeMap(at('hidden.png'), {
      ...SIZE,
      data: Uint8Array.from(flow.x, (_, i) => (i % SIZE.width >= 90 ? 1 : 0)),
    }),
  ])
  const view = async (...argv: string[]) =>
    expect(await call('view', ...argv)).toMatchObject({ code: 0, err: '' })
  await view(at('flow.flo'), '-o', at('flow.html'), '--truth', at('truth.flo'), '--scale', '20')
  const maps = ['--backward', at('back.flo'), '--confidence', at('sure.npy'), '--occlusion', at('hidden.png')]
  await view(at('shift.flo'), at('1.png'), at('2.png'), '-o', at('pair.html'), ...maps)
  mkdirSync(at('flows'))
  mkdirSync(at('frames'))
  for (const number of [0, 1, 2, 5, 6]) await writeFlow(at(`flows/${number}.flo`), shift)
  for (let number = 0; number < 8; number++)
    await savePicture(`frames/f${number}.png`, number % 2 === 0 ? noise : moved)
  await view(at('flows'), '-o', at('sequence.html'))
})

describe('the figures at the pointer', () => {
  test('equal the field and its error to 0.01 px, at many pixels', async () => {
    const { pointAt, readAll } = await open(at('flow.html'), SIZE)
    let worst = 0
    for (let n = 0; n < 40; n++) {
      const [x, y] = [(13 + 37 * n) % SIZE.width, (11 + 23 * n) % SIZE.height]
      const i = y * SIZE.width + x
      await pointAt(x, y)
      const texts = await readAll()
      expect(texts['pixel']).toBe(`${x}, ${y}`)
      if (isInCorner(x, y)) continue
      const [dx = NaN, dy = NaN] = numbersOf(texts['vector'])
      const [length = NaN] = numbersOf(texts['length'])
      const [error = NaN] = numbersOf(texts['error'])
      worst = Math.max(
        worst,
        Math.abs(dx - flow.x[i]!),
        Math.abs(dy - flow.y[i]!),
        Math.abs(length - Math.hypot(flow.x[i]!, flow.y[i]!)),
        Math.abs(error - Math.hypot(0.5, 1.25)),
      )
      const [angle = NaN] = numbersOf(texts['angle'])
      const turn = Math.abs(angle - (Math.atan2(flow.y[i]!, flow.x[i]!) * 180) / Math.PI)
      expect(Math.min(turn, 360 - turn)).toBeLessThan(1)
    }
    expect(worst).toBeLessThanOrEqual(0.01)
  })

  test('say where the flow is unknown', async () => {
    const { pointAt, read } = await open(at('flow.html'), SIZE)
    await pointAt(3, 3)
    for (const id of ['vector', 'length', 'angle', 'error']) expect(await read(id)).toBe('unknown')
    expect(numbersOf(await read('truth'))).toHaveLength(2)
  })

  test('tell confidence, occlusion, and how far there and back ends', async () => {
    const { pointAt, read } = await open(at('pair.html'), SIZE)
    await pointAt(50, 20)
    expect(await read('confidence')).toBe('0.50')
    expect(await read('occlusion')).toBe('visible')
    expect(await read('loop')).toBe('0.50 px')
    await pointAt(92, 20)
    expect(await read('occlusion')).toBe('hidden')
    expect(await read('loop')).toBe('leaves the frame')
  })

  test('stay after a click, until Escape', async () => {
    const { page, pointAt, read } = await open(at('flow.html'), SIZE)
    await pointAt(50, 30)
    await page.mouse.down()
    await page.mouse.up()
    await pointAt(20, 40)
    expect(await read('pixel')).toBe('50, 30')
    await page.keyboard.press('Escape')
    await pointAt(20, 40)
    await pointAt(21, 40)
    expect(await read('pixel')).toBe('21, 40')
  })
})

describe('pictures and layers', () => {
  test('the flow has the colours of flowToColor', async () => {
    const { colorAt, placeOf } = await open(at('flow.html'), SIZE)
    const expected = flowToColor(flow, { scale: 20 })
    for (const [column, row] of [
      [20, 20],
      [80, 8],
      [60, 50],
    ] as const) {
      const { x, y } = placeOf(column, row)
      expectColor(await colorAt(x, y), pixelOf(expected, column, row))
    }
  })

  test('a layer is mixed with the picture by its slider, and hidden by its checkbox and its key', async () => {
    const { page, colorAt, placeOf } = await open(at('pair.html'), SIZE)
    const [picture, color] = [pixelOf(noise, 30, 30), [230, 60, 150]]
    const { x, y } = placeOf(30, 30)
    await page.getByLabel('Flow', { exact: true }).uncheck()
    expectColor(await colorAt(x, y), picture)

    const hidden = [placeOf(93, 30), pixelOf(noise, 93, 30)] as const
    await page.keyboard.press('o')
    await page.getByLabel('Opacity of occlusion').fill('50')
    const mixed = hidden[1].map((level, channel) => (level + color[channel]!) / 2)
    expectColor(await colorAt(hidden[0].x, hidden[0].y), mixed)
    await page.locator('#stage').press('o')
    expectColor(await colorAt(hidden[0].x, hidden[0].y), hidden[1])
    expect(await page.getByLabel('Occlusion', { exact: true }).isChecked()).toBe(false)
  })

  test('frame 2 warped back is frame 1 where the flow is right', async () => {
    const { page, colorAt, placeOf } = await open(at('pair.html'), SIZE)
    await page.getByLabel('Flow', { exact: true }).uncheck()
    const { x, y } = placeOf(30, 30)
    await page.getByRole('radio', { name: 'Warped' }).check()
    expectColor(await colorAt(x, y), pixelOf(noise, 30, 30))
    await page.getByRole('radio', { name: 'Frame 2', exact: true }).check()
    expectColor(await colorAt(x, y), pixelOf(moved, 30, 30))
  })

  test('the wipe has frame 1 on the left of its line, which is dragged, and the other picture on its right', async () => {
    const { page, colorAt, placeOf, pointAt } = await open(at('pair.html'), SIZE)
    await page.keyboard.press('w')
    await page.getByRole('radio', { name: 'Frame 2', exact: true }).check()
    const [left, right] = [placeOf(20, 30), placeOf(70, 30)]
    expectColor(await colorAt(left.x, left.y), pixelOf(noise, 20, 30))
    expectColor(await colorAt(right.x, right.y), pixelOf(moved, 70, 30))
    // Half of the picture's width is between pixels 47 and 48.
    await pointAt(47.5, 10)
    await page.mouse.down()
    await pointAt(85, 10)
    await page.mouse.up()
    expectColor(await colorAt(right.x, right.y), pixelOf(noise, 70, 30))
    expect(Number(await page.getByLabel('Place of the dividing line').inputValue())).toBeGreaterThan(80)
  })

  test('blinking begins when it is asked for, and each swap shows the other picture', async () => {
    const { page, colorAt, placeOf } = await open(at('pair.html'), SIZE)
    await page.getByRole('radio', { name: 'Blink' }).check()
    const { x, y } = placeOf(30, 30)
    expectColor(await colorAt(x, y), pixelOf(noise, 30, 30))
    expect(await page.getByRole('button', { name: 'Blink by itself' }).count()).toBe(1)
    await page.getByRole('radio', { name: 'Frame 2', exact: true }).check()
    await page.getByRole('button', { name: /other picture/ }).click()
    expectColor(await colorAt(x, y), pixelOf(moved, 30, 30))
    await page.locator('#stage').press('x')
    expectColor(await colorAt(x, y), pixelOf(noise, 30, 30))
    await page.locator('#stage').press(' ')
    await page.getByText('Seen: frame 1.').waitFor({ state: 'detached' })
    expect(await page.getByRole('button', { name: 'Pause the blinking' }).count()).toBe(1)
  })
})

describe('hands', () => {
  test('keys move the crosshair, and what is there is told', async () => {
    const { page, read } = await open(at('flow.html'), SIZE)
    await page.locator('#stage').focus()
    await page.keyboard.press('ArrowRight')
    expect(await read('pixel')).toBe('48, 32')
    await page.keyboard.press('Shift+ArrowDown')
    await page.keyboard.press('ArrowLeft')
    expect(await read('pixel')).toBe('47, 42')
    expect(await page.locator('#announced').textContent()).toMatch(
      /^x 47, y 42: moves \d+\.\d\d px [a-z ]+: error 1\.35 px$/,
    )
  })

  test('the wheel and keys zoom, and 0 shows the whole picture', async () => {
    const { page, pointAt, read } = await open(at('flow.html'), SIZE)
    const zoom = () => page.locator('#stage').getAttribute('data-zoom').then(Number)
    const whole = await zoom()
    await pointAt(50, 30)
    await page.mouse.wheel(0, -400)
    await expect.poll(zoom).toBeGreaterThan(1.5 * whole)
    expect(await read('pixel')).toBe('50, 30')
    await page.keyboard.press('0')
    await expect.poll(zoom).toBe(whole)
    await page.keyboard.press('+')
    await expect.poll(zoom).toBeCloseTo(1.5 * whole, 2)
  })

  test('one finger reads, two fingers zoom', async () => {
    const { page, placeOf, read } = await open(at('flow.html'), SIZE, {
      hasTouch: true,
      viewport: { width: 390, height: 800 },
    })
    const stage = (await page.locator('#stage').boundingBox())!
    const { x, y } = placeOf(40, 30)
    await page.touchscreen.tap(stage.x + x, stage.y + y)
    expect(await read('pixel')).toBe('40, 30')
    const before = Number(await page.locator('#stage').getAttribute('data-zoom'))
    const fingers = await page.context().newCDPSession(page)
    const touch = (type: 'touchStart' | 'touchMove' | 'touchEnd', ...distances: number[]) =>
      fingers.send('Input.dispatchTouchEvent', {
        type,
        touchPoints: distances.map((distance, id) => ({ id, x: stage.x + x + distance, y: stage.y + y })),
      })
    await touch('touchStart', -20, 20)
    await touch('touchMove', -40, 40)
    await touch('touchMove', -60, 60)
    await touch('touchEnd')
    await expect
      .poll(async () => Number(await page.locator('#stage').getAttribute('data-zoom')))
      .toBeGreaterThan(2.5 * before)
  })

  test('a question mark lists the keys, and they can be limited to the picture', async () => {
    const { page } = await open(at('flow.html'), SIZE)
    await page.keyboard.press('?')
    const help = page.getByRole('dialog', { name: 'How to look' })
    await help.waitFor()
    expect(await help.locator('dt').allTextContents()).toEqual(
      expect.arrayContaining(['F', 'E', 'A', 'T', '0', '+ -']),
    )
    await help.getByLabel(/Keys work everywhere/).uncheck()
    await page.keyboard.press('Escape')
    const shown = page.getByLabel('Flow', { exact: true })
    await page.keyboard.press('f')
    expect(await shown.isChecked()).toBe(true)
    await page.locator('#stage').press('f')
    expect(await shown.isChecked()).toBe(false)
  })
})

describe('a sequence', () => {
  test('is scrubbed by its slider and by keys, over its gaps', async () => {
    const { page } = await open(at('sequence.html'), SIZE)
    const label = page.locator('header .label')
    const slider = page.getByLabel('Flow of the sequence')
    const text = () => slider.getAttribute('aria-valuetext')
    await expect.poll(() => label.textContent()).toBe('0.flo')
    for (const expected of ['1.flo', '2.flo', '5.flo']) {
      await slider.press('ArrowRight')
      await expect.poll(() => label.textContent()).toBe(expected)
    }
    expect(await text()).toBe('5: mean 6.00 px')
    await slider.press('ArrowLeft')
    await expect.poll(() => label.textContent()).toBe('2.flo')
    await page.locator('#stage').press('End')
    await expect.poll(() => label.textContent()).toBe('6.flo')
    await page.locator('#stage').press(',')
    await expect.poll(() => label.textContent()).toBe('5.flo')
    expect(await page.getByText('5 flows, 2 gaps').count()).toBe(1)
  })

  test('plays to its end and begins again', async () => {
    const { page } = await open(at('sequence.html'), SIZE)
    await page.locator('#stage').press('End')
    await page.getByRole('button', { name: 'Play (space)' }).click()
    await expect.poll(() => page.locator('header .label').textContent()).toBe('1.flo')
    await page.getByRole('button', { name: 'Pause (space)' }).click()
  })
})

describe('for everybody', () => {
  test.each(['pair', 'sequence'])('%s: every control has a name', async (name) => {
    const { page } = await open(at(`${name}.html`), SIZE)
    const session = await page.context().newCDPSession(page)
    const { nodes } = await session.send('Accessibility.getFullAXTree')
    const controls = nodes.filter(
      ({ ignored, role }) =>
        !ignored &&
        ['button', 'checkbox', 'radio', 'slider', 'application', 'radiogroup', 'image'].includes(
          String(role?.value),
        ),
    )
    expect(controls.length).toBeGreaterThan(12)
    expect(controls.filter((node) => String(node.name?.value ?? '').trim() === '')).toEqual([])
  })

  test('controls are reached by Tab, and the focus is seen', async () => {
    const { page } = await open(at('flow.html'), SIZE)
    const focused = new Set<string>()
    for (let n = 0; n < 12; n++) {
      await page.keyboard.press('Tab')
      const [what, outline] = await page.evaluate<[string, string]>(`(() => {
        const element = document.activeElement
        const drawn = element.type === 'radio' ? element.nextElementSibling : element
        return [element.id || element.ariaLabel || element.value, getComputedStyle(drawn).outlineStyle]
      })()`)
      focused.add(what)
      expect([what, outline]).toEqual([what, 'solid'])
    }
    expect([...focused]).toEqual(
      expect.arrayContaining(['stage', 'layers', 'Help (?)', 'layer-flow', 'Opacity of flow']),
    )
  })

  test('light and dark follow the system, and the switch overrules it', async () => {
    const { page, colorAt } = await open(at('flow.html'), SIZE, { colorScheme: 'dark' })
    const light = async () => (await colorAt(2, 2))[0]! > 128
    expect(await light()).toBe(false)
    await page.emulateMedia({ colorScheme: 'light' })
    await expect.poll(light).toBe(true)
    await page.getByRole('button', { name: /as the system/ }).click()
    await page.keyboard.press('t')
    expect(await page.getByRole('button', { name: 'Colours: dark (T)' }).count()).toBe(1)
    await expect.poll(light).toBe(false)
  })

  test('nothing moves by itself, and with reduced motion not even colours fade', async () => {
    const { page } = await open(at('pair.html'), SIZE, { reducedMotion: 'reduce' })
    const fades = `getComputedStyle(document.querySelector('button')).transitionDuration`
    expect(await page.evaluate(fades)).toBe('0s')
    expect(await page.evaluate('document.getAnimations().length')).toBe(0)
    await page.emulateMedia({ reducedMotion: 'no-preference' })
    await expect.poll(() => page.evaluate(fades)).toMatch(/^0\.12s/)
  })

  test('nothing is wider than a phone', async () => {
    const { page } = await open(at('pair.html'), SIZE, { viewport: { width: 390, height: 800 } })
    expect(await page.evaluate('document.documentElement.scrollWidth')).toBe(390)
  })
})

describe('hostile input', () => {
  test('a page that was damaged says so', async () => {
    const html = readFileSync(at('flow.html'), 'utf8')
    writeFileSync(at('damaged.html'), html.replace(/(id="part-0">)[^<]*/, '$1AAAA'))
    const { page } = await open(at('damaged.html'), SIZE)
    expect(await page.getByRole('alert').textContent()).toMatch(
      /^The flow cannot be shown\. The file is damaged/,
    )
  })

  test('a name with HTML in it is shown as it is', async () => {
    const name = `<img src=x onerror=alert(1)><!--<script>.flo`
    await writeFlow(at(name), shift)
    expect(await call('view', at(name), '-o', at('name.html'))).toMatchObject({ code: 0 })
    const { page } = await open(at('name.html'), SIZE)
    expect(await page.title()).toBe(name)
    expect(await page.locator('h1').textContent()).toBe(name)
    expect(await page.locator('img').count()).toBe(0)
  })

  test.each([
    ['NaN everywhere', 40, 30, NaN],
    ['one pixel', 1, 1, 2.5],
    ['very wide', 16_384, 2, -3],
    ['far motion', 8, 8, 12_345.678],
  ])('%s', { tags: ['slow'] }, async (name, width, height, value) => {
    const path = at(`${name}.flo`)
    await writeFlow(path, new FlowField(width, height, new Float32Array(2 * width * height).fill(value)))
    await savePicture(`${name}.png`, noiseFrame(width, height, 1))
    const argv = ['view', path, at(`${name}.png`), at(`${name}.png`), '-o', at('odd.html')]
    expect(await call(...argv)).toMatchObject({ code: 0, err: '' })
    const { page, read } = await open(at('odd.html'), { width, height })
    for (const key of ['ArrowRight', 'a', 'w', 'b', 'x', 'l', '+', '1', '0'])
      await page.locator('#stage').press(key)
    const [dx, dy] = numbersOf(await read('vector'))
    if (Number.isNaN(value)) expect(await read('vector')).toBe('unknown')
    else expect([dx, dy]).toEqual([expect.closeTo(value, 1.9), expect.closeTo(value, 1.9)])
  })
})

test('a page of 1024 x 436, without its pictures, has less than 3 MB', async () => {
  const big = new FlowField(1024, 436)
  // Smooth, with noise of a tenth of a pixel, as of a network.
  const { data } = noiseFrame(1024, 436, 7)
  for (let i = 0; i < big.x.length; i++) {
    big.x[i] = (i % 1024) / 50 + data[3 * i]! / 2550
    big.y[i] = i / 50_000 + data[3 * i + 1]! / 2550
  }
  await writeFlow(at('big.flo'), big)
  expect(await call('view', at('big.flo'), '-o', at('big.html'))).toMatchObject({ code: 0 })
  expect(statSync(at('big.html')).size).toBeLessThan(3e6)
})
