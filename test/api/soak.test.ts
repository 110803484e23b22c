import { describe, expect, it } from 'vitest'
import { expectSteady } from '../support/steady.js'

type Counts = Readonly<Record<string, number>>

describe('resident memory', { tags: ['slow'] }, () => {
  it('does not grow over 100,000 frames of streams, and every frame is accounted for', () =>
    expectSteady<Counts>('soak-stream.mjs', [], ({ frames, computed, cuts, duplicates, ...drops }) => {
      expect(frames).toBeGreaterThanOrEqual(150_000) // with the warm-up
      for (const count of [computed, cuts, duplicates]) expect(count).toBeGreaterThan(1000)
      for (const reason of ['oldest', 'deadline', 'full', 'aborted', 'failed', 'closed'])
        expect(drops[reason], reason).toBeGreaterThan(10)
    }))

  it('does not grow over 1,000 models, some disposed with frames in flight', () =>
    expectSteady<Counts>('load-cycles.mjs', [], ({ cycles }) => expect(cycles).toBe(1000)))
})
