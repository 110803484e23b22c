import fc from 'fast-check'
import sharp from 'sharp'
import { describe, expect, test } from 'vitest'
import { FlowField } from '../../lib/flow-field.js'
import { decodeKitti, encodeKitti } from '../../lib/formats/kitti.js'
import { anyFlow, damage, expectFieldOrFormatError, fixture, goldenFlow } from './helpers.js'

const GOLDEN = fixture('formats/flow_31x47_kitti.png')
const HALF_STEP = 1 / 128

describe('KITTI PNG', () => {
  test('reads the golden file to its step of 1/64 px, its rows 5 to 8 as unknown', async () => {
    const flow = await decodeKitti(GOLDEN)
    const expected = goldenFlow()
    expect([flow.width, flow.height]).toEqual([47, 31])
    for (let i = 0; i < 47 * 31; i++) {
      const row = Math.floor(i / 47)
      const unknown = row >= 5 && row <= 8
      expect(Number.isNaN(flow.x[i])).toBe(unknown)
      expect(Number.isNaN(flow.y[i])).toBe(unknown)
      if (unknown) continue
      // The golden file's writer rounds towards zero, ours to the nearest.
      expect(Math.abs(flow.x[i]! - expected.x[i]!)).toBeLessThan(2 * HALF_STEP)
      expect(Math.abs(flow.y[i]! - expected.y[i]!)).toBeLessThan(2 * HALF_STEP)
    }
  })

  test.each([
    ['kitti', [1, -1], [2 ** 15 + 64, 2 ** 15 - 64]],
    ['dsec', [1, -1], [2 ** 15 + 128, 2 ** 15 - 128]],
    ['vkitti2', [2, -1], [65_535, 0]],
    ['vkitti2', [-2, 1], [0, 65_535]],
  ] as const)('reads the code of %s', async (pngCode, [x, y], [red, green]) => {
    // 3 x 2 pixels, of which Virtual KITTI 2 takes the sides less 1 for the longest motion.
    const samples = Uint16Array.from({ length: 18 }, (_, i) => [red, green, i < 15 ? 1 : 0][i % 3]!)
    const png = await sharp(samples, { raw: { width: 3, height: 2, channels: 3 } })
      .toColourspace('rgb16')
      .png()
      .toBuffer()
    const flow = await decodeKitti(png, { pngCode })
    expect([...flow.x]).toEqual([x, x, x, x, x, NaN])
    expect([...flow.y]).toEqual([y, y, y, y, y, NaN])
  })

  test('refuses a code that it does not know, with those that it does', async () => {
    const pngCode: string = 'sintel'
    await expect(decodeKitti(GOLDEN, { pngCode: pngCode as 'kitti' })).rejects.toMatchObject({
      code: 'ERR_ARGUMENT',
      message: expect.stringContaining('kitti, dsec, vkitti2'),
    })
  })

  test('what was read is written back with the same samples', async () => {
    const samples = (bytes: Uint8Array): Promise<Buffer> =>
      sharp(bytes).toColourspace('rgb16').raw({ depth: 'ushort' }).toBuffer()
    expect(await samples(await encodeKitti(await decodeKitti(GOLDEN)))).toEqual(await samples(GOLDEN))
  })

  test('keeps motion in range to 1/128 px, and what is unknown', async () => {
    const inRange = fc.float({ noNaN: true, min: -512, max: 511.984375 })
    const keeps = async (flow: FlowField): Promise<void> => {
      const read = await decodeKitti(await encodeKitti(flow))
      flow.data.forEach((value, i) => {
        if (Number.isNaN(value)) expect(read.data[i]).toBeNaN()
        else expect(Math.abs(read.data[i]! - value)).toBeLessThanOrEqual(HALF_STEP)
      })
    }
    await fc.assert(fc.asyncProperty(anyFlow(inRange), keeps), { numRuns: 50 })
  })

  test('clamps what 16 bits cannot hold', async () => {
    const flow = new FlowField(2, 1, Float32Array.of(-1e6, 1e6, 600, -600))
    const read = await decodeKitti(await encodeKitti(flow))
    expect(read.data).toEqual(Float32Array.of(-512, 511.984375, 511.984375, -512))
  })

  test('a pixel with one component that is not finite is invalid', async () => {
    const flow = new FlowField(2, 1, Float32Array.of(NaN, 1, 1, -Infinity))
    const read = await decodeKitti(await encodeKitti(flow))
    expect(read.data).toEqual(new Float32Array(4).fill(NaN))
  })

  test('refuses an 8-bit picture', async () => {
    await expect(decodeKitti(fixture('viz/default.png'))).rejects.toMatchObject({
      code: 'ERR_FORMAT',
      message: expect.stringContaining('16-bit RGB'),
    })
  })

  test('refuses a header that claims more pixels than its bytes can hold', async () => {
    const bytes = Uint8Array.from(GOLDEN)
    new DataView(bytes.buffer).setUint32(16, 2 ** 30)
    await expect(decodeKitti(bytes)).rejects.toMatchObject({ code: 'ERR_FORMAT' })
  })

  test('refuses more pixels than the limit, however many bytes there are', async () => {
    const bytes = new Uint8Array(2 ** 20)
    bytes.set(GOLDEN)
    const header = new DataView(bytes.buffer)
    header.setUint32(16, 2 ** 13)
    header.setUint32(20, 2 ** 13 + 1)
    await expect(decodeKitti(bytes)).rejects.toMatchObject({
      code: 'ERR_FORMAT',
      message: expect.stringContaining('more than 67108864'),
    })
  })

  test('a damaged file is a field or a format error', async () => {
    const property = fc.asyncProperty(damage(GOLDEN), (bytes) => expectFieldOrFormatError(bytes, decodeKitti))
    await fc.assert(property, { numRuns: 200 })
  })
})
