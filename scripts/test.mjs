// Runs all tests: the C++ programs, then vitest. The last line of the output has the totals.
//   node scripts/test.mjs [--arm64] [--sanitize] [--race] [--mutations] [--training]
// The options add the tests of native-tests.mjs, mutation-tests.mjs and training-tests.mjs.
import { spawnSync } from 'node:child_process'
import { mkdirSync, readFileSync, rmSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { runMutationTests } from './mutation-tests.mjs'
import { runNativeTests } from './native-tests.mjs'
import { runTrainingTests } from './training-tests.mjs'

const root = fileURLToPath(new URL('..', import.meta.url))
const options = process.argv.slice(2).map((argument) => argument.replace(/^--/, ''))
const variants = ['host', ...options.filter((option) => option !== 'mutations' && option !== 'training')]
const totals = []
for (const variant of variants) totals.push(await runNativeTests(variant))
if (options.includes('mutations')) totals.push(await runMutationTests())
if (options.includes('training')) totals.push(runTrainingTests())

const report = path.join(root, 'build', 'vitest.json')
mkdirSync(path.dirname(report), { recursive: true })
rmSync(report, { force: true })
const vitest = path.join(root, 'node_modules', 'vitest', 'vitest.mjs')
const { status } = spawnSync(
  process.execPath,
  [vitest, 'run', '--reporter=default', '--reporter=json', `--outputFile.json=${report}`],
  { cwd: root, stdio: 'inherit' },
)
const { numPassedTests, numFailedTests } = JSON.parse(readFileSync(report, 'utf8'))
// A test file that cannot be loaded fails the run, but it counts no failed test.
totals.push({ passed: numPassedTests, failed: status !== 0 && numFailedTests === 0 ? 1 : numFailedTests })

const sum = (key) => totals.reduce((total, part) => total + part[key], 0)
console.log(`${sum('passed')} passed, ${sum('failed')} failed`)
process.exitCode = sum('failed') === 0 ? 0 : 1
