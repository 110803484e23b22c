import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import sharp from 'sharp'
import { describe, expect, test } from 'vitest'
import { FlowField } from '../../lib/flow-field.js'
import { loadImage, type RgbImage, savePng } from '../../lib/image/rgb-image.js'
import { type ArrowOptions, arrowsSvg, drawArrows } from '../../lib/viz/arrows.js'
import { fixture, FIXTURES } from '../formats/helpers.js'

function gray(width: number, height: number, level: number): RgbImage {
  return { data: new Uint8Array(3 * width * height).fill(level), width, height }
}

function uniform(width: number, height: number, x: number, y: number): FlowField {
  const flow = new FlowField(width, height)
  flow.x.fill(x)
  flow.y.fill(y)
  return flow
}

function count(svg: string, tag: string): number {
  return svg.split(`<${tag} `).length - 1
}

describe('drawArrows', () => {
  test.each([0, 128, 255])('an arrow stands out on a background of level %i', async (level) => {
    const { data } = await drawArrows(gray(64, 64, level), uniform(64, 64, 30, 0), { step: 64 })
    const darkest = Math.min(...data)
    const colored = data.some(
      (_, i) =>
        i % 3 === 0 && Math.max(...data.subarray(i, i + 3)) - Math.min(...data.subarray(i, i + 3)) > 100,
    )
    expect(colored).toBe(true)
    expect(darkest).toBeLessThan(64)
  })

  test('an arrow reaches from its pixel to where the pixel went, and no farther', async () => {
    const level = 200
    const { data } = await drawArrows(gray(101, 101, level), uniform(101, 101, 30, 0), {
      step: 101,
      color: '#fff',
    })
    const touched: number[] = []
    for (let column = 0; column < 101; column++) {
      if (data[3 * (50 * 101 + column)] !== level) touched.push(column)
    }
    expect(Math.min(...touched)).toBeGreaterThanOrEqual(46)
    expect(Math.min(...touched)).toBeLessThanOrEqual(50)
    expect(Math.max(...touched)).toBeGreaterThanOrEqual(79)
    expect(Math.max(...touched)).toBeLessThanOrEqual(85)
  })

  test('still pixels are dots, unknown ones are nothing', async () => {
    const flow = uniform(40, 20, 0, 0)
    for (let i = 0; i < flow.x.length; i++) if (i % 40 < 20) flow.x[i] = NaN
    const svg = arrowsSvg(flow, { step: 10 })
    expect([count(svg, 'circle'), count(svg, 'path')]).toEqual([4, 0])
    const frame = gray(40, 20, 90)
    const { data } = await drawArrows(frame, uniform(40, 20, NaN, Infinity))
    expect(Uint8Array.from(data)).toEqual(frame.data)
  })

  test('scale lengthens arrows and step spaces them', () => {
    const flow = uniform(100, 100, 1, 0)
    expect(count(arrowsSvg(flow, { step: 20 }), 'circle')).toBe(25)
    expect(count(arrowsSvg(flow, { step: 20, scale: 10 }), 'path')).toBe(25)
    expect(count(arrowsSvg(flow, { step: 50, scale: 10 }), 'path')).toBe(4)
  })

  test('the frame may be a path or the bytes of a file', async () => {
    const path = fileURLToPath(new URL('tiny/frame1.png', FIXTURES))
    const flow = uniform(160, 112, 5, 5)
    const fromPath = await drawArrows(path, flow)
    const fromBytes = await drawArrows(fixture('tiny/frame1.png'), flow)
    const fromPixels = await drawArrows(await loadImage(path), flow)
    expect([fromPath.width, fromPath.height, fromPath.data.length]).toEqual([160, 112, 3 * 160 * 112])
    expect(Buffer.compare(fromPath.data, fromBytes.data)).toBe(0)
    expect(Buffer.compare(fromPath.data, fromPixels.data)).toBe(0)
  })

  test('a frame of a camera that was turned is the same as for flow', async () => {
    const jpeg = await sharp(gray(12, 8, 90).data, { raw: { width: 12, height: 8, channels: 3 } })
      .withMetadata({ orientation: 6 })
      .jpeg()
      .toBuffer()
    const image = await loadImage(jpeg)
    expect([image.width, image.height]).toEqual([8, 12])
    expect((await drawArrows(jpeg, uniform(8, 12, 1, 1))).width).toBe(8)
  })

  test('a gray frame and one of 16 bits become RGB of 8', async () => {
    const level = sharp(gray(3, 2, 90).data, { raw: { width: 3, height: 2, channels: 3 } })
    for (const space of ['b-w', 'rgb16', 'grey16']) {
      const image = await loadImage(await level.clone().toColourspace(space).png().toBuffer())
      expect([...image.data]).toEqual(Array(18).fill(90))
    }
  })

  test.each<[ArrowOptions]>([[{ step: 1 }], [{ step: NaN }], [{ scale: 0 }], [{ color: '"/><script>' }]])(
    'refuses %j',
    (options) => {
      expect(() => arrowsSvg(uniform(8, 8, 1, 1), options)).toThrow(
        expect.objectContaining({ code: 'ERR_ARGUMENT' }),
      )
    },
  )

  test('refuses a frame of another size, and one that cannot be decoded', async () => {
    const flow = uniform(8, 8, 1, 1)
    await expect(drawArrows(gray(9, 8, 0), flow)).rejects.toMatchObject({ code: 'ERR_ARGUMENT' })
    await expect(drawArrows(Uint8Array.of(1, 2, 3), flow)).rejects.toMatchObject({ code: 'ERR_FRAME' })
    await expect(drawArrows('missing.png', flow)).rejects.toMatchObject({
      code: 'ERR_IO',
      message: 'missing.png: no such file',
    })
    await expect(drawArrows({ ...gray(8, 8, 0), height: 7 }, flow)).rejects.toMatchObject({
      code: 'ERR_FRAME',
    })
  })
})

describe('savePng', () => {
  test('writes the pixels without loss, and nothing where it fails', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'flow-viz-'))
    try {
      const image = gray(5, 4, 7)
      image.data.set([1, 2, 3])
      await savePng(join(folder, 'a.png'), image)
      expect(await sharp(join(folder, 'a.png')).raw().toBuffer()).toEqual(Buffer.from(image.data))
      await expect(savePng(join(folder, 'missing', 'a.png'), image)).rejects.toMatchObject({
        code: 'ERR_IO',
        cause: { code: 'ENOENT' },
      })
      expect(await readdir(folder)).toEqual(['a.png'])
    } finally {
      await rm(folder, { recursive: true })
    }
  })
})
