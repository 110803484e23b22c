// Runs the tests. The last line of the output is "N passed, N failed".
//   npm test                       all that a contributor needs, in less than three minutes on two cores after the build
//   npm run test:all               every test
//   npm run test:all -- --rest     every test that npm test does not run
import { runMutationTests } from './mutation-tests.mjs'
import { runNativeTests } from './native-tests.mjs'
import { addTotals, end, printSkipped } from './totals.mjs'
import { runTrainingTests } from './training-tests.mjs'
import { runVitest } from './vitest.mjs'

const QUICK = [() => runNativeTests('host'), () => runVitest('quick')]
const REST = [
  () => runNativeTests('schedules'),
  () => runNativeTests('sanitize'),
  () => runNativeTests('race'),
  () => runNativeTests('count'),
  () => runNativeTests('arm64'),
  () => runMutationTests(), // needs the builds above
  () => runTrainingTests(),
  () => runVitest('slow'),
]

const options = process.argv.slice(2)
const rest = options.includes('--rest')
const quick = !rest && !options.includes('--all')
const parts = [...(rest ? [] : QUICK), ...(quick ? [] : REST)]

const begin = performance.now()
const totals = []
for (const part of parts) {
  try {
    totals.push(await part())
  } catch (error) {
    console.error(error)
    totals.push({ passed: 0, failures: [`a part that could not be run: ${error.message}`] })
  }
}
const total = addTotals(totals)
console.log(`\ntests took ${Math.round((performance.now() - begin) / 1000)} s, builds included`)
printSkipped(total)
if (quick)
  console.log(
    `left to npm run test:all: ${total.left} slow tests, the other schedules of the emulated GPU, sanitizers, the race ` +
      'detector, ARM, mutations of kernels, training',
  )
end(total)
