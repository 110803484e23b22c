// Prints a table of docs/guide/speed.md as Markdown, from a report of latency.mjs.
//   node bench/speed-tables.mjs bench/results/REPORT.json
import { readFileSync } from 'node:fs'

const report = JSON.parse(readFileSync(process.argv[2], 'utf8'))
const ms = (value) => value.toFixed(0)
console.log('| | p50 | p95 | p99 | times as fast |\n| --- | --- | --- | --- | --- |')
for (const [pass, key, ratio] of [
  ['backbone', 'backboneMs', 'backboneRatio'],
  ['head', 'headMs', 'headRatio'],
])
  for (const [i, contender] of report.contenders.entries()) {
    const { p50, p95, p99 } = contender[key]
    const faster = i === 0 ? '' : contender[ratio].toFixed(2)
    console.log(`| ${pass}, ${contender.name} | ${ms(p50)} | ${ms(p95)} | ${ms(p99)} | ${faster} |`)
  }
