import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Reporter, TestCase, TestModule } from 'vitest/node'

/** The file that scripts/test.mjs reads. */
const FILE = fileURLToPath(new URL('../../build/vitest.json', import.meta.url))

/** A test that did not run. One without a reason was filtered out, or its author gave none. */
interface SkippedTest {
  readonly name: string
  readonly slow: boolean
  readonly reason?: string
}

/** Counts the tests for scripts/test.mjs, and prints the reasons why tests were skipped. */
export class TotalsReporter implements Reporter {
  onTestRunStart(): void {
    rmSync(FILE, { force: true })
  }

  onTestRunEnd(modules: readonly TestModule[]): void {
    const tests = modules.flatMap((module) => [...module.children.allTests()])
    const of = (state: string) => tests.filter((test) => test.result().state === state)
    const skipped = tests.flatMap(asSkipped)
    mkdirSync(dirname(FILE), { recursive: true })
    writeFileSync(
      FILE,
      JSON.stringify({ passed: of('passed').length, failures: of('failed').map(nameOf), skipped }),
    )
    for (const { name, reason } of skipped)
      if (reason !== undefined) console.log(`skipped: ${name}: ${reason}`)
  }
}

const nameOf = (test: TestCase): string => `${test.module.relativeModuleId} > ${test.fullName}`

function asSkipped(test: TestCase): SkippedTest[] {
  const result = test.result()
  if (result.state !== 'skipped') return []
  const { note: reason } = result
  return [
    {
      name: nameOf(test),
      slow: test.tags.includes('slow'),
      ...(reason !== undefined && { reason }),
    },
  ]
}
