import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Frame } from '../../lib/index.js'
import { loadModel } from '../../lib/load.js'
import type { NativeModel } from '../../lib/native/contract.js'
import { callSite } from '../../lib/native/failure.js'
import { largestDifference } from '../support/compare.js'
import { useEmulator } from '../support/emulator.js'
import { loadTiny, TINY } from '../support/fixtures.js'
import { pixelsSeen, yuvCases, yuvPair } from '../support/pixels.js'

useEmulator()
let native: NativeModel

beforeAll(async () => {
  ;({ native } = await loadModel({ ...TINY, device: 'cuda', precision: 'fp32' }, callSite(loadModel)))
})
afterAll(() => native.disposeSync())

describe('a frame of YUV on the emulated GPU', () => {
  it.each(yuvCases())(
    'is that of an exact conversion to one level: $format, $width x $height, $matrix, $range, padding $padding',
    (kind) => {
      const { yuv, rgb } = yuvPair(kind)
      const seen = pixelsSeen(native, yuv, 1, 2)
      expect(largestDifference(seen, pixelsSeen(native, rgb, 1, 2))).toBeLessThanOrEqual(1)
    },
  )

  it('is not taken for one of another layout at the same place, whose call was recorded', async () => {
    await using model = await loadTiny({ device: 'cuda', precision: 'fp32' })
    const { yuv } = yuvPair({
      format: 'nv12',
      width: 64,
      height: 48,
      matrix: 'bt601',
      range: 'video',
      padding: undefined,
    })
    const frames: Frame[] = [
      yuv,
      { ...yuv, format: 'nv21' },
      { ...yuv, range: 'full' },
      { ...yuv, matrix: 'bt709' },
    ]
    const expected = []
    for (const frame of frames) {
      await using fresh = await loadTiny({ device: 'cuda', precision: 'fp32' })
      expected.push((await fresh.flow(frame, yuv)).data.slice())
    }
    for (let round = 0; round < 3; round++)
      for (const [i, frame] of frames.entries())
        expect((await model.flow(frame, yuv)).data).toEqual(expected[i])
  })
})
