import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { patchModel } from '../../lib/tensorrt/patch-model.js'
import { TINY } from '../support/fixtures.js'
import { installFromPyPI } from '../support/pypi.js'
import { need, skipIf } from '../support/skip.js'

/** It builds engines without a GPU, and has the interface of TensorRT 11. */
const PACKAGE = 'tensorrt-rtx-cu12-libs==1.7.1.116'
const PROGRAM = fileURLToPath(new URL('../../build/tests-host/test/tensorrt/build_plan', import.meta.url))

describe('TensorRT for RTX, called by our slots,', { tags: ['slow'], timeout: 300_000 }, () => {
  let folder: string
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'tensorrt-rtx-'))
  })
  afterAll(() => rmSync(folder, { recursive: true }))

  /** Builds an engine of an ONNX file. */
  function build(onnx: Uint8Array, ...options: readonly string[]) {
    skipIf(process.platform !== 'linux' || process.arch !== 'x64', 'it is for Linux on x64')
    const site = installFromPyPI('tensorrt-rtx', [PACKAGE])
    need(site !== undefined, `python3 with pip, to install ${PACKAGE} from PyPI`)
    const path = join(folder, 'model.onnx')
    writeFileSync(path, onnx)
    const libraries = ['libtensorrt_rtx.so.1', 'libtensorrt_onnxparser_rtx.so.1'].map((name) =>
      join(site!, 'tensorrt_rtx_libs', name),
    )
    return spawnSync(PROGRAM, [...libraries, path, ...options], { encoding: 'utf8' })
  }

  const grid = { height: 14, width: 20 }

  it.each([
    { model: 'the package', source: {}, precision: 'float16' },
    { model: 'the package', source: {}, precision: 'float32' },
    { model: 'TINY', source: TINY, precision: 'float16' },
    { model: 'TINY', source: TINY, precision: 'float32' },
  ] as const)("parses $model's backbone in $precision, and builds it", async ({ source, precision }) => {
    const onnx = await patchModel(source, { grid, precision })
    const { status, stdout, stderr } = build(onnx)
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
    const { version, plan, timingCache, told } = JSON.parse(stdout) as Record<string, number>
    expect(version).toBe(10701)
    expect(plan).toBeGreaterThan(onnx.byteLength / 2)
    expect(timingCache).toBeGreaterThan(0)
    expect(told).toBeGreaterThan(10)
  })

  it('ends a build that is told to end', async () => {
    const { status, stdout, stderr } = build(await patchModel(TINY, { grid, precision: 'float16' }), '0.1')
    expect({ status, stdout, stderr }).toEqual({ status: 1, stdout: '', stderr: 'the build was aborted\n' })
  })

  it('says what is wrong with a file', async () => {
    const onnx = await patchModel(TINY, { grid, precision: 'float32' })
    const { status, stderr } = build(onnx.subarray(0, onnx.length / 2))
    expect(status).toBe(1)
    expect(stderr).toContain('cannot read the network: ')
    expect(stderr).toContain('Failed to parse the ONNX model')
  })
})
