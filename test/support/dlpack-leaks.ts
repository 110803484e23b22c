import { expect } from 'vitest'
import { runScript } from './child.js'

const BAR = 0.02
/** As in test/api/soak.test.ts: without them, V8 and glibc grow now and then without a leak. */
const STEADY = { NODE_OPTIONS: '--max-semi-space-size=1', MALLOC_ARENA_MAX: '1' }

/** Checks that `each` tensors in each state leave no memory behind, and that every deleter was called once and on its thread. */
export async function expectNoLeak(device: 'cpu' | 'cuda', each: number): Promise<void> {
  // A leak raises every run; the steps of an allocator raise few.
  const growths: number[] = []
  while (growths.length < 3 && !growths.some((growth) => growth < BAR)) {
    const { code, signal, stdout, stderr } = await runScript(
      'dlpack-leaks.mjs',
      [device, String(each)],
      STEADY,
    )
    expect({ code, signal, stderr }).toEqual({ code: 0, signal: null, stderr: '' })
    const { counts, growth } = JSON.parse(stdout) as { counts: Record<string, object>; growth: number }
    for (const name of ['taken', 'takenAndForgotten', 'madeAndForgotten', 'takenAndGiven', 'refused'])
      expect({ name, ...counts[name] }).toEqual({ name, made: each, deleted: each, elsewhere: 0, twice: 0 })
    growths.push(growth)
  }
  expect(Math.min(...growths)).toBeLessThan(BAR)
}
