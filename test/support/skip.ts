import { TestRunner } from 'vitest'

/** Ends the running test as skipped, for a reason that no setup of the machine can change. */
export function skipIf(condition: boolean, reason: string): void {
  if (condition) TestRunner.getCurrentTest()!.context.skip(reason)
}

/** Skips the running test if something is missing that can be installed. DINOV3_FLOW_REQUIRE_ALL=1 makes that a failure. */
export function need(present: boolean, what: string): void {
  if (present) return
  if ((process.env['DINOV3_FLOW_REQUIRE_ALL'] ?? '') !== '') throw new Error(`needs ${what}`)
  skipIf(true, `needs ${what}`)
}
