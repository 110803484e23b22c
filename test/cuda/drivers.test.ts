import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import type { Diagnosis } from '../../lib/cli/doctor/diagnose.js'
import { loadAddon } from '../../lib/native/addon.js'
import { runScript } from '../support/child.js'
import { useEmulator } from '../support/emulator.js'
import { skipIf } from '../support/skip.js'

useEmulator()

const PROGRAM = fileURLToPath(new URL('../../dist/cli/index.js', import.meta.url))
const RELEASE = 'sm_75 compute_75 sm_80 compute_80 sm_86 sm_87 sm_89 sm_90 sm_100 sm_110 sm_120'
const BUILT = loadAddon().cudaKernels

/** What `doctor` says under a driver for that version of CUDA, on a GPU of that compute capability. */
async function doctor(driver: string, capability: string, ...flags: string[]): Promise<string> {
  const [major, minor] = driver.split('.').map(Number)
  const version = String(1000 * major! + 10 * minor!)
  const env = { EMULATOR_DRIVER_VERSION: version, EMULATOR_CAPABILITY: capability }
  return (await runScript(PROGRAM, ['doctor', ...flags], env)).stdout
}

async function cudaEngine(driver: string, capability: string): Promise<Diagnosis['engines']['cuda']> {
  return (JSON.parse(await doctor(driver, capability, '--json')) as Diagnosis).engines.cuda
}

/** The install guide's table: the kernels that a release loads under each driver, for each compute capability. */
function tableOfGuide(): { driver: string; capability: string; kernels: string }[] {
  const text = readFileSync(new URL('../../docs/guide/install.md', import.meta.url), 'utf8')
  const [, head, rows] = /^\| driver for CUDA +\|(.*)\|\n.*\n((?:\|.*\n)+)/m.exec(text)!
  const cellsOf = (row: string) => row.split('|').map((cell) => cell.trim())
  const capabilities = cellsOf(head!).map((cell) => /\d+\.\d/.exec(cell)![0])
  return rows!
    .trimEnd()
    .split('\n')
    .flatMap((row) => {
      const [driver, ...cells] = cellsOf(row.slice(1, -1))
      return cells.map((kernels, i) => ({
        driver: /^[\d.]+/.exec(driver!)![0],
        capability: capabilities[i]!,
        kernels,
      }))
    })
}

describe('a release', () => {
  const cells = tableOfGuide()

  it('is told of under five drivers, on nine GPUs', () => {
    expect(cells).toHaveLength(5 * 9)
  })

  it.for(cells)('under a driver for CUDA $driver, on $capability: $kernels', async (cell) => {
    skipIf(BUILT !== RELEASE, 'the addon is no release')
    const { driver, capability, kernels } = cell
    const engine = await cudaEngine(driver, capability)
    if (kernels === '–')
      expect(engine).toMatchObject({
        works: false,
        error: {
          code: 'ERR_DEVICE',
          message: expect.stringContaining('update a driver that is older than the GPU'),
        },
      })
    else
      expect(engine).toMatchObject({ works: true, gpu: { computeCapability: capability, driver, kernels } })
  })
})

describe('doctor', () => {
  it('says for which CUDA the driver is, which kernels there are, and which are used', async () => {
    const { gpu } = (await cudaEngine('13.0', '9.0')) as { gpu: { kernels: string } }
    const out = await doctor('13.0', '9.0')
    skipIf(!gpu.kernels.startsWith('sm_'), 'the addon has no machine code for 9.0')
    expect(out).toContain(`driver for CUDA 13.0, kernels for ${BUILT}; uses those for ${gpu.kernels}\n`)
  })

  it('says that the driver compiles, where there is only PTX', async () => {
    skipIf(!BUILT.includes('compute_80'), 'the addon has no PTX for 8.0')
    expect(await doctor('12.8', '12.0')).toContain(
      'uses compute_80, which the driver compiles at the first use',
    )
  })

  it('names a driver that is too old for the GPU, and what to do', async () => {
    const out = await doctor('11.4', '9.0')
    expect(out).toContain('the driver, for CUDA 11.4, does not start: CUDA_ERROR_NO_DEVICE')
    expect(out).toContain('update a driver that is older than the GPU')
  })

  it('says which GPUs are supported to the owner of an older one', async () => {
    expect(await doctor('13.0', '7.0')).toContain('GPUs of compute capability 7.5 and later are supported')
  })
})
