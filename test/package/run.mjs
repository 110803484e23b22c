// Installs the packed package as users do, and uses it.  node test/package/run.mjs [PART OF A NAME...]
//   Needs the tarball of `npm run release`. Prints the support table of the README; the last line is "N passed, N failed".
import { availableParallelism } from 'node:os'
import { each } from '../../scripts/pool.mjs'
import { SITUATIONS } from './situations.mjs'
import { installTools } from './tools.mjs'

const parts = process.argv.slice(2)
const chosen = SITUATIONS.filter(
  ({ name }) => parts.length === 0 || parts.some((part) => name.includes(part)),
)
installTools()

const results = new Map()
let failed = 0
async function attempt({ name, run }) {
  const begin = performance.now()
  let result
  try {
    const remark = await run()
    result = remark === undefined ? 'works' : `works: ${remark}`
  } catch (error) {
    failed++
    console.error(`FAILED ${name}: ${error.message}`)
    result = 'fails'
  }
  results.set(name, result)
  console.error(`${name}: ${result} (${((performance.now() - begin) / 1000).toFixed(1)} s)`)
}

// Those that measure time run alone.
for (const situation of chosen) if (situation.alone) await attempt(situation)
const others = chosen.filter(({ alone }) => !alone)
await each(others, availableParallelism(), attempt)

const rows = chosen.map(({ name }) => `| ${name} | ${results.get(name)} |`)
console.log(['| situation | result |', '| --- | --- |', ...rows].join('\n'))
console.log(`${rows.length - failed} passed, ${failed} failed`)
process.exitCode = failed === 0 ? 0 : 1
