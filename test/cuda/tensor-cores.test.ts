import { spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { beforeEach, describe, expect, it } from 'vitest'
import { withFolder } from '../support/fixtures.js'
import { need } from '../support/skip.js'

const SCRIPT = fileURLToPath(new URL('../../bench/gpu/tensor_cores.py', import.meta.url))

/** An instruction of 16 bytes: LDC, or HMMA under a predicate. */
const instruction = (matrix: boolean) => {
  const bytes = Buffer.alloc(16, 0xff)
  bytes.writeUInt16LE(matrix ? 0x023c : 0x7b82)
  return bytes
}

/** An ELF file with a section for each kernel, as nvcc makes them, some with a tensor-core instruction. */
function cubin(kernels: Readonly<Record<string, boolean>>): Buffer {
  const sections = [
    { name: '', bytes: Buffer.alloc(0) },
    { name: '.nv.info', bytes: instruction(true) }, // no code
    ...Object.entries(kernels).map(([kernel, matrix]) => ({
      name: `.text.${kernel}`,
      bytes: Buffer.concat([instruction(false), instruction(matrix), instruction(false)]),
    })),
  ]
  const names = Buffer.from([...sections.map(({ name }) => name), '.shstrtab', ''].join('\0'))
  const all = [...sections, { name: '.shstrtab', bytes: names }]
  let offset = 64
  const headers = all.map(({ name, bytes }) => {
    const header = Buffer.alloc(64)
    header.writeUInt32LE(name === '' ? 0 : names.indexOf(`${name}\0`), 0)
    header.writeBigUInt64LE(BigInt(offset), 24)
    header.writeBigUInt64LE(BigInt(bytes.length), 32)
    offset += bytes.length
    return header
  })
  const start = Buffer.alloc(64)
  start.set([0x7f, 0x45, 0x4c, 0x46, 2, 1])
  start.writeBigUInt64LE(BigInt(offset), 40)
  start.writeUInt16LE(64, 58)
  start.writeUInt16LE(all.length, 60)
  start.writeUInt16LE(all.length - 1, 62)
  return Buffer.concat([start, ...all.map(({ bytes }) => bytes), ...headers])
}

/** Runs the check on a folder of such files. */
async function check(
  files: Readonly<Record<string, Readonly<Record<string, boolean>>>>,
  ...expected: string[]
) {
  let result: { status: number | null; wrong: string[]; kernels: unknown[] } | undefined
  await withFolder(async (folder) => {
    for (const [name, kernels] of Object.entries(files)) writeFileSync(join(folder, name), cubin(kernels))
    const expect = expected.length > 0 ? ['--expect', ...expected] : []
    const { status, stdout, stderr } = spawnSync('python3', [SCRIPT, folder, '--json', ...expect], {
      encoding: 'utf8',
    })
    if (stdout === '') throw new Error(stderr)
    result = { status, ...JSON.parse(stdout) }
  })
  return result!
}

const PYTHON = spawnSync('python3', ['--version']).status === 0

const GOOD = { gemm_add_f16_64x64: true, gemm_add_bf16_64x64: true, gemm_add_f32_64x64: false }

describe('the check of tensor-core instructions', () => {
  beforeEach(() => need(PYTHON, 'python3'))

  it('passes where every matrix kernel of 16-bit operands has some', async () => {
    const files = {
      'gemm.compute_80.cubin': GOOD,
      'gemm.compute_90a.sm_90a.cubin': { ...GOOD, layer_norm_f16: false },
    }
    const result = await check(files, 'gemm')
    expect(result).toMatchObject({ status: 0, wrong: [] })
    expect(result.kernels).toHaveLength(7)
    expect(result.kernels).toContainEqual({
      kernel: 'gemm_add_f16_64x64',
      architecture: '90a',
      instructions: 1,
      needed: true,
    })
  })

  it('names the kernel that has none, and the family that is missing', async () => {
    const bad = { ...GOOD, gemm_add_bf16_64x64: false, attention_f16_64: false }
    const { status, wrong } = await check({ 'gemm.compute_80.cubin': GOOD, 'gemm.sm_90a.cubin': bad })
    expect(status).toBe(1)
    expect(wrong).toEqual([
      expect.stringContaining('attention_f16_64, sm_90a: no tensor'),
      expect.stringContaining('gemm_add_bf16_64x64, sm_90a: no tensor'),
    ])
    expect(await check({ 'gemm.sm_90a.cubin': GOOD }, 'gemm', 'attention')).toMatchObject({
      status: 1,
      wrong: [expect.stringContaining('attention')],
    })
  })

  it('asks no bfloat16 of a GPU that has none', async () => {
    const old = { ...GOOD, gemm_add_bf16_64x64: false }
    expect(await check({ 'gemm.sm_75.cubin': old }, 'gemm')).toMatchObject({ status: 0 })
  })

  it('fails where there is nothing to look at', async () => {
    expect(await check({}, 'gemm')).toMatchObject({ status: 1, wrong: [expect.stringContaining('gemm')] })
  })
})
