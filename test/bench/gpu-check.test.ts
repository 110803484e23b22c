import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { CARDS } from '../../bench/gpu/cards.mjs'
import { buildCounter, countFrame } from '../../bench/gpu/count.mjs'
import { EMULATOR } from '../support/emulator.js'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const MINUTES = 60_000

interface Part {
  readonly name: string
  readonly status: string
  readonly result: object | null
}

test(
  'the command for a GPU machine runs all of its parts on the emulated GPU',
  { tags: ['slow'], timeout: 15 * MINUTES },
  async () => {
    expect(existsSync(EMULATOR), 'npm run test:native builds the emulated GPU').toBe(true)
    const out = mkdtempSync(path.join(tmpdir(), 'gpu-check-'))
    try {
      const env = {
        ...process.env,
        EMULATOR,
        NODE: '', // npm's. The addon is not found here, and has tests of its own
        OUT: out,
        BUILD: 'build/gpu-check',
        BUDGET: '900',
        COMMIT: 'this one',
      }
      const child = spawn('bench/gpu/check.sh', { cwd: ROOT, env, stdio: ['ignore', 'ignore', 'inherit'] })
      const [code] = (await once(child, 'close')) as [number]
      const { parts, machine } = JSON.parse(readFileSync(path.join(out, 'report.json'), 'utf8')) as {
        parts: Part[]
        machine: Record<string, string>
      }
      expect(Object.fromEntries(parts.map(({ name, status }) => [name, status]))).toEqual({
        configure: 'passed',
        build: 'passed',
        spills: 'passed',
        tensor_cores: 'skipped',
        parity_test: 'passed',
        seed_parity: 'skipped',
        'latency-seed': 'passed',
        'latency-default': 'passed',
        launch_times: 'passed',
        torch_stream: 'skipped',
        ops_test: 'passed',
        cuda_runtime_test: 'passed',
        order_test: 'passed',
        tiles_test: 'passed',
        'stages-fp16': 'passed',
        'end-to-end': 'skipped',
        'compute-sanitizer': 'skipped',
      })
      expect(code).toBe(0)
      expect(machine).toMatchObject({ commit: 'this one', device: 'the emulated driver: no GPU' })
      const report = readFileSync(path.join(out, 'report.md'), 'utf8')
      for (const title of [
        'the seed’s configuration',
        'the package’s model, refined',
        'beside their predictions',
      ])
        expect(report).toContain(title.replace('’', "'"))
    } finally {
      rmSync(out, { recursive: true })
    }
  },
)

/** All six take some minutes. The kernels and the counter are the same for every card. */
test(
  'the counts behind BUDGET.md are those of these kernels',
  { tags: ['slow'], timeout: 15 * MINUTES },
  async () => {
    const { height, width, frames } = JSON.parse(
      readFileSync(path.join(ROOT, 'bench', 'gpu', 'counts.json'), 'utf8'),
    ) as { height: number; width: number; frames: Record<string, object[]> }
    buildCounter()
    expect(await countFrame(CARDS['h200']!, { height, width })).toEqual(frames['h200'])
  },
)
