import { expect } from 'vitest'
import { expectSteady } from './steady.js'

/** Checks that `each` tensors in each state leave no memory behind, and that every deleter was called once and on its thread. */
export function expectNoLeak(device: 'cpu' | 'cuda', each: number): Promise<void> {
  const args = [device, String(each)]
  return expectSteady<{ counts: Record<string, object> }>('dlpack-leaks.mjs', args, ({ counts }) => {
    for (const name of ['taken', 'takenAndForgotten', 'madeAndForgotten', 'takenAndGiven', 'refused'])
      expect({ name, ...counts[name] }).toEqual({ name, made: each, deleted: each, elsewhere: 0, twice: 0 })
  })
}
