import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { beforeAll, describe, expect, test } from 'vitest'
import { type FlowField, FlowModel, type LoadOptions, readFlow } from '../../lib/index.js'
import { call, scratch, TINY } from '../cli/helpers.js'
import { largestDifference, sameBits } from '../support/compare.js'
import { figure } from '../support/figures.js'
import { need } from '../support/skip.js'
import { writeBackbone, writeHead } from '../support/synthetic-checkpoint.mjs'

const path = scratch()
const TRAINING = fileURLToPath(new URL('../../training', import.meta.url))
const SCRIPT = fileURLToPath(new URL('../support/through_pytorch.py', import.meta.url))
const PYTHON = '/usr/bin/python3'
const SEED = { backbone: path('vits16plus.safetensors'), head: path('seed.safetensors') }

/** The flow between the tiny frames, 160 x 112, as the package computes it. */
async function flowHere(model: LoadOptions): Promise<FlowField> {
  await using loaded = await FlowModel.load({ ...model, device: 'cpu', size: 'native', refine: 'off' })
  return await loaded.flow(TINY.first, TINY.second)
}

/** The same flow, as a model of PyTorch computes it that is loaded from, or saved to, files. */
async function flowThere(command: 'load' | 'save', ...files: readonly string[]): Promise<FlowField> {
  const flow = path(`${command}.flo`)
  const args = [SCRIPT, command, flow, TINY.first, TINY.second, ...files]
  const { status, stderr } = spawnSync(PYTHON, args, {
    cwd: TRAINING,
    encoding: 'utf8',
    env: { ...process.env, PYTHONPATH: TRAINING },
  })
  expect({ status, stderr: status === 0 ? '' : stderr }).toEqual({ status: 0, stderr: '' })
  return readFlow(flow)
}

describe('PyTorch, in the structure of DINOv3 and of optical_flow_dinov3', { tags: ['slow'] }, () => {
  const present = spawnSync(PYTHON, ['-c', 'import cv2, torch']).status === 0
  beforeAll(() => {
    writeBackbone('dinov3_vits16plus', SEED.backbone)
    writeHead('seed', SEED.head, 384)
  })

  test.each([
    { name: "the package's model", files: {}, bar: 0.01 },
    { name: 'tiny', files: { backbone: TINY.backbone, head: TINY.head }, bar: 1e-3 },
    { name: "the original's configuration", files: SEED, bar: 0.01 },
  ])('loads strictly what export writes of $name, and gives the same flow', async ({ name, files, bar }) => {
    need(present, "Python with torch and cv2: Debian's python3-torch and python3-opencv")
    const model = Object.entries(files).flatMap(([option, file]) => [`--${option}`, file])
    const written = ['backbone.pth', 'head.pth', 'both.pth', 'both.safetensors'].map(path)
    const [backbone, head, both, plain] = written as [string, string, string, string]
    const orders = [
      ['--pth', backbone, '--part', 'backbone'],
      ['--pth', head, '--part', 'head'],
      ['--pth', both, '--safetensors', plain],
    ]
    for (const order of orders)
      expect(await call('export', ...order, ...model)).toMatchObject({ code: 0, err: '' })
    const [there, here] = [await flowThere('load', ...written), await flowHere(files)]
    figure(`exported to PyTorch, ${name}: flow, worst (px)`, largestDifference(here.data, there.data), bar)
  })

  test('saves what loads here, in one file or in two, and gives the same flow', async () => {
    need(present, "Python with torch and cv2: Debian's python3-torch and python3-opencv")
    const [backbone, head, both] = ['saved-backbone.pth', 'saved-head.pth', 'saved.pth'].map(path)
    const there = await flowThere('save', backbone!, head!, both!)
    expect(Math.max(...there.data.map(Math.abs))).toBeGreaterThan(1)
    const here = await flowHere({ backbone: backbone!, head: head! })
    figure('saved by PyTorch: flow, worst (px)', largestDifference(here.data, there.data), 1e-3)
    const together = await flowHere({ backbone: both!, head: both! })
    expect(sameBits(together.data, here.data)).toBe(true)
  })
})
