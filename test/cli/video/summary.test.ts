import { expect, test } from 'vitest'
import { describeProgress } from '../../../lib/cli/video/summary.js'

test('progress tells frames, speed and the time that is left, as far as the duration is known', () => {
  const frame = { index: 119, seconds: 754 }
  expect(describeProgress(frame, 0.4, 10_000)).toBe(
    'frame 120 of about 300, 12.0 frames per second, 15 s left',
  )
  expect(describeProgress(frame, 0.0025, 10_000)).toContain(
    'of about 48000, 12.0 frames per second, 1:06:30 left',
  )
  expect(describeProgress(frame, undefined, 60_000)).toBe('frame 120, 12:34 of video, 2.0 frames per second')
})
