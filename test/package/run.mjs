// Installs the packed package as users do, and uses it.  node test/package/run.mjs [PART OF A NAME...]
//   Needs the tarball of `npm run release`, and the emulated driver of `npm run test:native -- --arm64`. Prints the support table of
//   docs/guide/install.md; the last line is "N passed, N failed".
import { availableParallelism } from 'node:os'
import { pathToFileURL } from 'node:url'
import { each } from '../../scripts/pool.mjs'
import { end } from '../../scripts/totals.mjs'
import { SITUATIONS } from './situations.mjs'
import { installTools } from './tools.mjs'

/**
 * @param {readonly string[]} [parts] runs only situations whose names hold one of these
 * @returns {Promise<import('../../scripts/totals.mjs').Total>}
 */
export async function runSituations(parts = ['']) {
  const chosen = SITUATIONS.filter(({ name }) => parts.some((part) => name.includes(part)))
  installTools()

  const results = new Map()
  const failures = []
  async function attempt({ name, run }) {
    const begin = performance.now()
    let result
    try {
      const remark = await run()
      result = remark === undefined ? 'works' : `works: ${remark}`
    } catch (error) {
      failures.push(`package: ${name}`)
      console.error(`${name}: ${error.message}`)
      result = 'fails'
    }
    results.set(name, result)
    console.error(`${name}: ${result} (${((performance.now() - begin) / 1000).toFixed(1)} s)`)
  }

  // Those that measure time run alone. Of the others, those that take longest begin first.
  for (const situation of chosen) if (situation.alone) await attempt(situation)
  const others = chosen.filter(({ alone }) => !alone)
  const long = others.filter((situation) => situation.long)
  await each([...long, ...others.filter((other) => !other.long)], availableParallelism(), attempt)

  const rows = chosen.map(({ name }) => `| ${name} | ${results.get(name)} |`)
  console.log(['| situation | result |', '| --- | --- |', ...rows].join('\n'))
  return { passed: rows.length - failures.length, failures }
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  end(await runSituations(process.argv.length > 2 ? process.argv.slice(2) : undefined))
}
