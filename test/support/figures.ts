import { expect, TestRunner } from 'vitest'

/** A measured value. It must not be above its bar. */
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
 * Asserts that `measured` is at most `bar`, and notes it for the table that `npm run parity` prints. If several figures have
 * the same name, the table has the largest. Call it in the body of a test.
 *
 * @param what name of the figure, with its unit
 */
export function figure(what: string, measured: number, bar: number): void {
  const { meta } = TestRunner.getCurrentTest<ReturnType<typeof TestRunner.getCurrentTest>>()!
  ;(meta.figures ??= []).push({ what, bar, measured })
  expect(measured, what).toBeLessThanOrEqual(bar)
}
