import { expect } from 'vitest'
import { runScript } from './child.js'

const BAR = 0.02
const RUNS = 3

/**
 * Keeps the young generation of V8 and the arenas of glibc small. Both grow now and then without a leak, by several percent of
 * the memory of so small a process.
 */
const STEADY = { NODE_OPTIONS: '--max-semi-space-size=1', MALLOC_ARENA_MAX: '1' }

/**
 * Checks that the memory of a script does not grow, in one run of three. A leak raises every run; the steps of an allocator, which
 * may fall so that they look like one, raise few.
 *
 * @param check is given what each run prints
 */
export async function expectSteady<Result>(
  script: string,
  args: readonly string[],
  check: (result: Result) => void,
): Promise<void> {
  const growths: number[] = []
  while (growths.length < RUNS && !growths.some((growth) => growth < BAR)) {
    const { code, signal, stdout, stderr } = await runScript(script, args, STEADY)
    expect({ code, signal, stderr }).toEqual({ code: 0, signal: null, stderr: '' })
    console.log(`${script}: ${stdout.trim()}`)
    const { growth, ...result } = JSON.parse(stdout) as { growth: number }
    check(result as Result)
    growths.push(growth)
  }
  expect(Math.min(...growths)).toBeLessThan(BAR)
}
