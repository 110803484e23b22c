import { expect, TestRunner } from 'vitest'

/** Something measured, which must not be above its bar. */
export interface Figure {
  readonly what: string
  readonly bar: number
  readonly measured: number
}

declare module 'vitest' {
  interface TaskMeta {
    figures?: Figure[]
  }
}

/**
 * Asserts that `measured` is at most `bar`, and notes it for the table that `npm run parity` prints. Of figures with the same
 * name the table has the largest. For the body of a test.
 *
 * @param what what was measured, and its unit
 */
export function figure(what: string, measured: number, bar: number): void {
  const { meta } = TestRunner.getCurrentTest<ReturnType<typeof TestRunner.getCurrentTest>>()!
  ;(meta.figures ??= []).push({ what, bar, measured })
  expect(measured, what).toBeLessThanOrEqual(bar)
}
