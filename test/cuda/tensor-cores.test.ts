import { spawnSync } from 'node:child_process'
import { chmodSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { withFolder } from '../support/fixtures.js'

const SCRIPT = fileURLToPath(new URL('../../bench/gpu/tensor_cores.py', import.meta.url))
/** Its path, empty where there is none: what is on the PATH may be a script of its own needs. */
const python =
  spawnSync('python3', ['-c', 'import sys; print(sys.executable)'], { encoding: 'utf8' }).stdout?.trim() ?? ''

/** Machine code of kernels, in the layout of cuobjdump, some with a tensor-core instruction. */
const cuobjdump = (architecture: string, kernels: Readonly<Record<string, boolean>>) =>
  `\nFatbin elf code:\n================\narch = sm_${architecture}\ncode version = [1,8]\n\n\tcode for sm_${architecture}\n` +
  Object.entries(kernels)
    .map(
      ([name, has]) =>
        `\t\tFunction : ${name}\n\t.headerflags\t@"EF_CUDA_SM90"\n        /*0000*/  LDC R1, c[0x0][0x28] ;\n` +
        (has ? '        /*0010*/  HMMA.16816.F32 R4, R8, R12, R4 ;\n' : ''),
    )
    .join('')

/** As {@link cuobjdump}, of nvdisasm. */
const nvdisasm = (kernels: Readonly<Record<string, boolean>>) =>
  Object.entries(kernels)
    .map(
      ([name, has]) =>
        `\t.section\t.text.${name},"ax",@progbits\n.text.${name}:\n        /*0000*/  LDC R1, c[0x0][0x28] ;\n` +
        (has ? '        /*0010*/  HMMA.16816.F32.BF16 R4, R8, R12, R4 ;\n' : ''),
    )
    .join('')

/** Runs the check with tools of which each prints a text. */
async function check(tools: Readonly<Record<string, string>>, ...args: string[]) {
  let result: { status: number | null; what: string; wrong: string[]; stderr: string } | undefined
  await withFolder(async (folder) => {
    for (const [tool, text] of Object.entries(tools)) {
      const path = join(folder, tool)
      writeFileSync(`${path}.txt`, text)
      writeFileSync(path, `#!/bin/sh\nwhile read -r line; do printf '%s\\n' "$line"; done < '${path}.txt'\n`)
      chmodSync(path, 0o755)
    }
    const { status, stdout, stderr } = spawnSync(python, [SCRIPT, '--json', ...args], {
      env: { PATH: folder },
      encoding: 'utf8',
    })
    result = { status, stderr, what: '', wrong: [], ...(stdout && JSON.parse(stdout)) }
  })
  return result!
}

const GOOD = { gemm_add_f16_64x64: true, gemm_add_bf16_64x64: true, gemm_add_f32_64x64: false }
const IMAGES = ['--images', 'gemm.fatbin']
const SOURCES = ['--sources', 'gemm.cu', '--architecture', '90a']

describe.runIf(python !== '')('the check of tensor-core instructions', () => {
  it('passes where every matrix kernel of 16-bit operands has some', async () => {
    const cuobjdumps = cuobjdump('80', GOOD) + cuobjdump('90a', { ...GOOD, layer_norm_f16: false })
    expect(await check({ cuobjdump: cuobjdumps }, ...IMAGES)).toMatchObject({
      status: 0,
      what: expect.stringContaining('by cuobjdump'),
      wrong: [],
    })
    expect(await check({ nvcc: '', nvdisasm: nvdisasm(GOOD) }, ...IMAGES, ...SOURCES)).toMatchObject({
      status: 0,
      what: expect.stringContaining('by nvdisasm'),
    })
  })

  it('names the kernel that has none, and the family that is missing', async () => {
    const bad = { ...GOOD, gemm_add_bf16_64x64: false, attention_f16_64: false }
    const wrong = ['gemm_add_bf16_64x64, sm_90a: no tensor', 'attention_f16_64, sm_90a: no tensor']
    for (const result of [
      await check({ cuobjdump: cuobjdump('80', GOOD) + cuobjdump('90a', bad) }, ...IMAGES),
      await check({ nvcc: '', nvdisasm: nvdisasm(bad) }, ...SOURCES),
    ]) {
      expect(result.status).toBe(1)
      expect(result.wrong).toEqual(wrong.map((text) => expect.stringContaining(text)))
    }
    const missing = await check(
      { cuobjdump: cuobjdump('90a', GOOD) },
      '--expect',
      'gemm',
      'attention',
      ...IMAGES,
    )
    expect(missing).toMatchObject({ status: 1, wrong: [expect.stringContaining('attention')] })
  })

  it('asks no bfloat16 of a GPU that has none', async () => {
    const old = cuobjdump('75', { ...GOOD, gemm_add_bf16_64x64: false })
    expect(await check({ cuobjdump: old }, ...IMAGES)).toMatchObject({ status: 0 })
  })

  it('fails where there is no tool', async () => {
    const { status, stderr } = await check({}, ...IMAGES, ...SOURCES)
    expect(status).toBe(1)
    expect(stderr).toContain('no cuobjdump')
  })
})
