// Installs the packed package as users do, and uses it.  node test/package/run.mjs [PART OF A NAME...]
//   Needs the tarball of `npm run release`. Prints the support table of the README; the last line is "N passed, N failed".
import { SITUATIONS } from './situations.mjs'
import { installTools } from './tools.mjs'

const parts = process.argv.slice(2)
const chosen = SITUATIONS.filter(
  ({ name }) => parts.length === 0 || parts.some((part) => name.includes(part)),
)
installTools()

const rows = []
let failed = 0
for (const { name, run } of chosen) {
  const begin = performance.now()
  try {
    rows.push([name, `works${suffix(await run())}`])
  } catch (error) {
    failed++
    console.error(`FAILED ${name}: ${error.message}`)
    rows.push([name, 'fails'])
  }
  console.error(`${name}: ${rows.at(-1)[1]} (${((performance.now() - begin) / 1000).toFixed(1)} s)`)
}

function suffix(remark) {
  return remark === undefined ? '' : `: ${remark}`
}

console.log(
  ['| situation | result |', '| --- | --- |', ...rows.map((row) => `| ${row.join(' | ')} |`)].join('\n'),
)
console.log(`${rows.length - failed} passed, ${failed} failed`)
process.exitCode = failed === 0 ? 0 : 1
