import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { FlowField, type Frame, PIXEL_FORMATS } from '../../lib/index.js'
import type { FlowModel } from '../../lib/index.js'
import { loadModel } from '../../lib/load.js'
import type { NativeModel } from '../../lib/native/contract.js'
import { callSite } from '../../lib/native/failure.js'
import { largestDifference, sameBits } from '../support/compare.js'
import { loadTiny, TINY } from '../support/fixtures.js'
import { pixelsSeen, YUV_LAYOUTS, yuvCases, yuvPair } from '../support/pixels.js'

let model: FlowModel
let native: NativeModel

beforeAll(async () => {
  model = await loadTiny()
  ;({ native } = await loadModel(TINY, callSite(loadModel)))
})
afterAll(async () => {
  await model.dispose()
  native.disposeSync()
})

describe('a frame of YUV', () => {
  it.each(yuvCases())(
    'is that of an exact conversion to one level: $format, $width x $height, $matrix, $range, padding $padding',
    (kind) => {
      const { yuv, rgb } = yuvPair(kind)
      for (const [rows, cols] of [
        [3, 4],
        [1, 1],
      ] as const)
        expect(
          largestDifference(pixelsSeen(native, yuv, rows, cols), pixelsSeen(native, rgb, rows, cols)),
        ).toBeLessThanOrEqual(1)
    },
  )

  it('is of every format that the table has', () => {
    expect(PIXEL_FORMATS.filter((format) => !YUV_LAYOUTS.includes(format))).toEqual([
      'rgb',
      'rgba',
      'bgr',
      'bgra',
      'argb',
      'abgr',
      'gray',
    ])
  })

  it('has planes one after the other where nothing is said, and in rows of one stride where it is said', async () => {
    const { yuv } = yuvPair({
      format: 'i420',
      width: 62,
      height: 46,
      matrix: 'bt709',
      range: 'full',
      padding: undefined,
    })
    const expected = await model.flow(yuv, yuv, { refine: 'default' })
    expect(expected.data.length).toBe(2 * 62 * 46)
    const padded = new Uint8Array(80 * 46 + 2 * 40 * 23).fill(99)
    const copy = (from: number, row: number, rows: number, to: number, stride: number) => {
      for (let y = 0; y < rows; y++)
        padded.set(yuv.data.subarray(from + y * row, from + (y + 1) * row), to + y * stride)
    }
    copy(0, 62, 46, 0, 80)
    copy(62 * 46, 31, 23, 80 * 46, 40)
    copy(62 * 46 + 31 * 23, 31, 23, 80 * 46 + 40 * 23, 40)
    const second: Frame = { ...yuv, data: padded, stride: 80 }
    const moving = yuvPair({
      format: 'nv21',
      width: 62,
      height: 46,
      matrix: 'bt601',
      range: 'video',
      padding: 2,
    }).yuv
    const flows = await Promise.all(
      [yuv, second].map((frame) => model.flow(frame, moving, { refine: 'default' })),
    )
    expect(sameBits(flows[0]!.data, flows[1]!.data)).toBe(true)
  })

  it('is refined by the pixels of the exact conversion', async () => {
    const from = yuvPair({
      format: 'nv12',
      width: 63,
      height: 47,
      matrix: 'bt709',
      range: 'full',
      padding: 5,
    })
    const to = yuvPair({
      format: 'uyvy',
      width: 63,
      height: 47,
      matrix: 'bt2020',
      range: 'video',
      padding: 1,
    })
    const flows: FlowField[] = []
    for (const kind of ['yuv', 'rgb'] as const)
      flows.push(await model.flow(from[kind], to[kind], { refine: 'default' }))
    expect(largestDifference(flows[0]!.data, flows[1]!.data)).toBeLessThan(0.5)
  })

  it('that comes again in a stream is a duplicate, and with another code it is not', async () => {
    const { yuv } = yuvPair({
      format: 'i420',
      width: 63,
      height: 47,
      matrix: 'bt709',
      range: 'full',
      padding: 3,
    })
    using stream = model.stream()
    await stream.push(yuv)
    const noisy = Uint8Array.from(yuv.data)
    noisy[1] = noisy[1]! ^ 255 // before the first plane
    expect(await stream.push({ ...yuv, data: noisy })).toMatchObject({ duplicate: true })
    expect(await stream.push({ ...yuv, matrix: 'bt601' })).toMatchObject({ duplicate: false })
    noisy[noisy.length - 1 - 3 * 35]! ^= 1
    const last = await stream.push({ ...yuv, data: noisy })
    expect(last).toMatchObject({ duplicate: false })
  })
})
