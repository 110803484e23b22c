// Runs vitest: the tests without the tag `slow`, or those with it.
import { spawnSync } from 'node:child_process'
import { readdirSync, readFileSync, rmSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
/** Written by test/support/totals-reporter.ts. */
const report = path.join(root, 'build', 'vitest.json')

const FILTERS = {
  quick: () => ['--tags-filter=!slow'],
  slow: () => ['--tags-filter=slow', ...slowFiles()],
}

/** The files with slow tests. Without their names vitest would load all files. */
function slowFiles() {
  return readdirSync(path.join(root, 'test'), { recursive: true })
    .map((file) => path.join('test', file))
    .filter((file) => file.endsWith('.test.ts'))
    .filter((file) => /tags: .*'slow'/.test(readFileSync(path.join(root, file), 'utf8')))
}

/**
 * @param {'quick' | 'slow'} speed
 * @param {{ node?: string, files?: readonly string[], env?: Record<string, string> }} [options] another Node, only some files,
 *   and what to add to the environment
 * @returns {import('./totals.mjs').Total}
 */
export function runVitest(speed, { node = process.execPath, files = [], env = {} } = {}) {
  console.log(`\n== vitest, ${speed} tests`)
  rmSync(report, { force: true })
  const vitest = path.join(root, 'node_modules', 'vitest', 'vitest.mjs')
  const { status } = spawnSync(node, [vitest, 'run', ...FILTERS[speed](), ...files], {
    cwd: root,
    stdio: 'inherit',
    env: { ...process.env, ...env },
  })
  const { passed, failures, skipped } = JSON.parse(readFileSync(report, 'utf8'))
  const total = { passed, failures, skipped: {}, left: 0 }
  for (const { name, slow, reason } of skipped) {
    if (reason !== undefined) total.skipped[reason] = (total.skipped[reason] ?? 0) + 1
    else if (slow !== (speed === 'slow'))
      total.left += speed === 'quick' ? 1 : 0 // belongs to the other run
    else failures.push(`${name}: it was skipped without a reason`)
  }
  // A test file that cannot be loaded fails the run, but it counts no failed test.
  if (status !== 0 && failures.length === 0) failures.push('a test file that could not be loaded: see above')
  return total
}
