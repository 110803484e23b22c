import { expect, it } from 'vitest'
import { FeatureChain } from '../lib/calls/feature-chain.js'

/** A chain whose frame 1 was answered, and the features that it has released. */
function chainOfOne() {
  const released: number[] = []
  const chain = new FeatureChain<string>((id) => released.push(id))
  chain.answered(chain.add(1, 'first'))
  return { chain, released }
}

it('releases the features before a frame that was answered', () => {
  const { chain, released } = chainOfOne()
  chain.answered(chain.add(2, 'second'))
  expect(released).toEqual([1])
  chain.clear()
  expect(released).toEqual([1, 2])
})

it('releases them if a frame in between failed, and the last one did not need it', () => {
  const { chain, released } = chainOfOne()
  const [failed, last] = [chain.add(2, 'failed'), chain.add(3, 'of another size')]
  chain.failed(failed)
  chain.answered(last)
  expect(released).toContain(1)
  expect(chain.last).toBe(last)
})

it('starts from the frame before one that failed', () => {
  const { chain, released } = chainOfOne()
  chain.failed(chain.add(2, 'failed'))
  expect(chain.last?.frame).toBe('first')
  expect(chain.broken).toBe(false)
  expect(released).toEqual([])
})

it('is broken from the failure of a frame until its successor starts again', () => {
  const { chain } = chainOfOne()
  const [failed, successor] = [chain.add(2, 'failed'), chain.add(3, 'successor')]
  expect(chain.broken).toBe(false)
  chain.failed(failed)
  expect(chain.broken).toBe(true)
  chain.failed(successor)
  expect(chain.broken).toBe(false)
  expect(chain.add(4, 'successor again').before?.id).toBe(1)
  expect(chain.broken).toBe(false)
})
