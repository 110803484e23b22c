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

it('starts from the frame before one that failed, whose features are not needed', () => {
  const { chain, released } = chainOfOne()
  chain.failed(chain.add(2, 'failed'))
  expect(chain.last?.frame).toBe('first')
  expect(chain.broken).toBe(false)
  expect(released).toEqual([2])
})

it('is broken from the failure of a frame until all after it are made again', () => {
  const { chain, released } = chainOfOne()
  const links = ['failed', 'second', 'third'].map((frame, i) => chain.add(i + 2, frame))
  expect(chain.broken).toBe(false)
  chain.failed(links[0]!)
  expect([chain.broken, chain.last?.frame]).toEqual([true, 'first'])
  chain.failed(links[1]!)
  const second = chain.add(5, 'second again')
  expect([chain.broken, second.before?.id]).toEqual([true, 1])
  chain.failed(links[2]!)
  const third = chain.add(6, 'third again')
  expect([chain.broken, third.before?.id]).toEqual([false, 5])
  chain.answered(second)
  chain.answered(third)
  expect(chain.last).toBe(third)
  expect(new Set(released)).toEqual(new Set([1, 2, 3, 4, 5]))
})

it('is broken no longer than one that was aborted while it had to fail anyway', () => {
  const { chain } = chainOfOne()
  const links = ['failed', 'aborted', 'third'].map((frame, i) => chain.add(i + 2, frame))
  chain.failed(links[1]!) // its signal fired
  expect([chain.broken, chain.last?.frame]).toEqual([true, 'failed'])
  chain.failed(links[0]!)
  expect([chain.broken, chain.last?.frame]).toEqual([true, 'first'])
  chain.failed(links[2]!)
  expect(chain.broken).toBe(false)
  expect(chain.add(5, 'third again').before?.frame).toBe('first')
})
