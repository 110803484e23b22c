import { expect, test } from 'vitest'
import { SharedFeatures } from '../lib/calls/shared-features.js'

test('features are freed once, when all that need them have let go', () => {
  const freed: number[] = []
  const features = new SharedFeatures((id) => freed.push(id))
  features.share(1)
  features.share(2)
  features.release(1)
  features.release(3) // needed by one
  expect(freed).toEqual([3])
  features.release(1)
  features.release(2)
  features.release(2)
  expect(freed).toEqual([3, 1, 2])
})
