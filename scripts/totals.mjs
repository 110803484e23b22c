/**
 * How the tests of one part ended.
 * @typedef {object} Total
 * @property {number} passed
 * @property {readonly string[]} failures name of each test that failed
 * @property {Record<string, number>} [skipped] number of skipped tests by reason
 * @property {number} [left] number of slow tests that were left to `npm run test:all`
 */

/**
 * The total of several parts.
 * @param {readonly Total[]} totals
 * @returns {Required<Total>}
 */
export function addTotals(totals) {
  const sum = { passed: 0, failures: [], skipped: {}, left: 0 }
  for (const { passed, failures, skipped = {}, left = 0 } of totals) {
    sum.passed += passed
    sum.failures.push(...failures)
    sum.left += left
    for (const [reason, count] of Object.entries(skipped))
      sum.skipped[reason] = (sum.skipped[reason] ?? 0) + count
  }
  return sum
}

/** Prints a line for each reason why tests were skipped. */
export function printSkipped({ skipped }) {
  for (const [reason, count] of Object.entries(skipped)) console.log(`${count} skipped: ${reason}`)
}

/** Names once more what failed, since it may lie thousands of lines above; the last line is "N passed, N failed". */
export function end({ passed, failures }) {
  for (const name of failures) console.log(`failed: ${name}`)
  console.log(`${passed} passed, ${failures.length} failed`)
  process.exitCode = failures.length === 0 ? 0 : 1
}

/**
 * The total of a part that cannot be run because something is missing that can be installed. DINOV3_FLOW_REQUIRE_ALL=1 makes that
 * an error.
 * @param {string} part
 * @param {string} what
 * @returns {Total}
 */
export function missing(part, what) {
  if (process.env.DINOV3_FLOW_REQUIRE_ALL) throw new Error(`${part} need ${what}`)
  console.log(`\n== ${part}: skipped, they need ${what}`)
  return { passed: 0, failures: [], skipped: { [`all ${part} need ${what}`]: 1 } }
}
