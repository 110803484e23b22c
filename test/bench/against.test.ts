import { describe, expect, test } from 'vitest'
import { checkComparable, compare, wander } from '../../lib/cli/bench/against.js'
import { reportOf } from './reports.js'

describe('a comparison with an earlier run', () => {
  const verdict = (now: Parameters<typeof reportOf>[0], before: Parameters<typeof reportOf>[0]) =>
    compare(reportOf({ seed: 1, ...now }), reportOf({ seed: 2, ...before }), 'before.json', 0.03).changes[0]!
      .verdict

  test('of the same code finds nothing', () => {
    for (let seed = 1; seed <= 10; seed++) expect(verdict({ seed }, { seed: seed + 50 })).toBe('same')
  })

  test('finds what is slower, and what is faster', () => {
    expect(verdict({ median: 115 }, { median: 100 })).toBe('slower')
    expect(verdict({ median: 100 }, { median: 115 })).toBe('faster')
  })

  test('lets a difference within the tolerance pass', () => {
    expect(verdict({ median: 102 }, { median: 100 })).toBe('same')
  })

  test('lets a difference pass that is less than what a run wanders by itself', () => {
    expect(verdict({ median: 115, drift: 0.5 }, { median: 100 })).toBe('same')
    expect(wander([...Array<number>(50).fill(100), ...Array<number>(50).fill(130)])).toBeCloseTo(
      0.15 / 1.15,
      2,
    )
  })

  test('finds a camera that misses more frames at the same latency', () => {
    expect(verdict({ missed: 40 }, { missed: 2 })).toBe('slower')
    expect(verdict({ missed: 5 }, { missed: 2 })).toBe('same')
  })

  test('tells what of the machine is not the same', () => {
    const { differences } = compare(
      reportOf({ cpu: 'new one' }),
      reportOf({ cpu: 'old one' }),
      'before.json',
      0.03,
    )
    expect(differences).toEqual(['cpu: old one then, new one now'])
  })

  test('of runs with nothing in common is refused, with what there is', () => {
    const other = reportOf({ rate: 60, missed: 0 })
    const check = (rate: number, name: string) =>
      checkComparable(
        [{ scenario: 'camera', settings: { rate, deadline: 1000 / rate } }],
        [name],
        other,
        'b.json',
      )
    check(60, 'dinov3-flow')
    for (const [rate, name] of [
      [30, 'dinov3-flow'],
      [60, 'preset=fast'],
    ] as const)
      expect(() => check(rate, name)).toThrow(
        expect.objectContaining({ code: 'ERR_ARGUMENT', message: expect.stringContaining('camera rate 60') }),
      )
  })
})
