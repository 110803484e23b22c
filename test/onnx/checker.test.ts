import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { TINY } from '../support/fixtures.js'
import { installFromPyPI } from '../support/pypi.js'
import { need } from '../support/skip.js'
import { exportModel } from './runtime.js'

/** Packages of PyPI, all that `onnx` needs, for Python 3.10 or later. */
const PACKAGES = [
  'onnx==1.22.0',
  'numpy==2.2.6',
  'protobuf==6.33.0',
  'ml_dtypes==0.5.4',
  'typing_extensions==4.15.0',
]
/** Types and shapes of every tensor must follow from the operators, and agree with what the file says. */
const CHECK = `
import sys, onnx
for path in sys.argv[1:]:
    onnx.checker.check_model(path, full_check=True)
    model = onnx.shape_inference.infer_shapes(onnx.load(path), check_type=True, strict_mode=True, data_prop=True)
    graph = model.graph
    known = {value.name for value in [*graph.value_info, *graph.output]}
    unknown = [name for node in graph.node for name in node.output if name not in known]
    assert not unknown, f"{path}: no shape for {unknown[:3]}"
    assert model.opset_import[0].version == 17 and len(model.opset_import) == 1
    names = [node.name for node in graph.node]
    assert len(set(names)) == len(names)
    used = {name for node in graph.node for name in node.input}
    assert {tensor.name for tensor in graph.initializer} <= used, "a tensor that nothing uses"
    norms = sum(node.op_type == "LayerNormalization" for node in graph.node)
    print(path.split("/")[-1], norms, sum(node.op_type == "Softmax" for node in graph.node))
`

describe("ONNX's own checker and strict shape inference accept", { tags: ['slow'] }, () => {
  let folder: string
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'onnx-'))
  })
  afterAll(() => rmSync(folder, { recursive: true }))

  it.each([
    { size: [112, 160], precision: 'float32', normalisation: 'outside' },
    { size: [112, 160], precision: 'float16', normalisation: 'inside' },
    { size: 'dynamic', precision: 'float32', normalisation: 'inside' },
    { size: 'dynamic', precision: 'float16', normalisation: 'outside', largest: 100_000 },
  ] as const)('%o', { timeout: 300_000 }, async (options) => {
    const site = installFromPyPI('onnx-checker', PACKAGES)
    need(site !== undefined, `python3 with pip, to install ${PACKAGES[0]} from PyPI`)
    const at = join(folder, JSON.stringify(options).replace(/\W+/g, '-'))
    const files = await exportModel(at, TINY, options)
    const { status, stdout, stderr } = spawnSync('python3', ['-c', CHECK, ...files.map(({ path }) => path)], {
      env: { ...process.env, PYTHONPATH: site },
      encoding: 'utf8',
    })
    expect({ status, stderr: status === 0 ? '' : stderr }).toEqual({ status: 0, stderr: '' })
    // Two blocks have two norms and a softmax each; the upsampling has a softmax.
    expect(stdout.trim().split('\n')).toEqual(['backbone.onnx 5 2', 'head.onnx 0 1', 'flow.onnx 5 3'])
  })
})
