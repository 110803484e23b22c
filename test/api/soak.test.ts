import { describe, expect, it } from 'vitest'
import { runScript } from '../support/child.js'

const BAR = 0.02

/**
 * Keeps the young generation of V8 and the arenas of glibc small. Both grow now and then without a leak, by several percent of
 * the memory of so small a process.
 */
const STEADY = { NODE_OPTIONS: '--max-semi-space-size=1', MALLOC_ARENA_MAX: '1' }

async function run(script: string) {
  const { code, signal, stdout, stderr } = await runScript(script, [], STEADY)
  expect({ code, signal, stderr }).toEqual({ code: 0, signal: null, stderr: '' })
  console.log(`${script}: ${stdout.trim()}`)
  return JSON.parse(stdout) as Readonly<Record<string, number>>
}

/**
 * Runs a script until its memory does not grow, three times at most. A leak raises every run; the steps of an allocator, which may
 * fall so that they look like one, raise few.
 */
async function runSteady(script: string) {
  for (let attempt = 1; ; attempt++) {
    const result = await run(script)
    if (result['growth']! < BAR || attempt === 3) return result
  }
}

describe('resident memory', { tags: ['slow'] }, () => {
  it('does not grow over 100,000 frames of streams, and every frame is accounted for', async () => {
    const { frames, growth, computed, cuts, duplicates, ...drops } = await runSteady('soak-stream.mjs')
    expect(frames).toBeGreaterThanOrEqual(150_000) // with the warm-up
    expect(growth).toBeLessThan(BAR)
    for (const count of [computed, cuts, duplicates]) expect(count).toBeGreaterThan(1000)
    for (const reason of ['oldest', 'deadline', 'full', 'aborted', 'failed', 'closed'])
      expect(drops[reason], reason).toBeGreaterThan(10)
  })

  it('does not grow over 1,000 models, some disposed with frames in flight', async () => {
    const { cycles, growth } = await runSteady('load-cycles.mjs')
    expect(cycles).toBe(1000)
    expect(growth).toBeLessThan(BAR)
  })
})
