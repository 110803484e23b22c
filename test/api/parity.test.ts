import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { join } from 'node:path'
import { FlowModel } from '../../lib/index.js'
import { loadModel } from '../../lib/load.js'
import type { NativeFrame, NativeModel, TraceEntry } from '../../lib/native/contract.js'
import { callSite } from '../../lib/native/failure.js'
import { checkFrame } from '../../lib/frame.js'
import { largestDifference, relativeL2, transpose } from '../support/compare.js'
import { figure } from '../support/figures.js'
import {
  fixture,
  loadTiny,
  readTensors,
  type RgbFrame,
  tensor,
  TINY,
  tinyFrames,
  withFolder,
} from '../support/fixtures.js'
import { writeBackbone, writeHead } from '../support/synthetic-checkpoint.mjs'

const GRID = { height: 7, width: 10, patch: 16 }
const PATCHES = GRID.height * GRID.width
const golden = readTensors(fixture('tiny/activations.safetensors'))

describe('every stage of the tiny model equals the oracle to 1e-5', () => {
  let native: NativeModel
  let trace: Map<string, TraceEntry>

  beforeAll(async () => {
    ;({ native } = await loadModel(TINY, callSite(loadModel)))
    const [a, b] = (await tinyFrames()).map(toNative)
    const result = native.run({
      from: a!,
      to: b!,
      gridHeight: GRID.height,
      gridWidth: GRID.width,
      height: 112,
      width: 160,
      flow: new Float32Array(2 * 112 * 160),
      trace: true,
    })
    trace = new Map(result.trace!.map((entry) => [entry.name, entry]))
  })
  afterAll(() => native.disposeSync())

  const traced = (name: string): TraceEntry => {
    const entry = trace.get(name)
    if (entry === undefined) throw new Error(`${name} is not traced`)
    return entry
  }
  /** Channels first, as the oracle keeps its maps. */
  const tracedMap = (name: string) => {
    const { values, rows, cols } = traced(name)
    return transpose(values, rows, cols)
  }

  const isGolden = (actual: ArrayLike<number>, name: string) =>
    figure('tiny: worst of all stages, relative L2', relativeL2(actual, tensor(golden, name)), 1e-5)

  for (const frame of ['frame1', 'frame2']) {
    it(`${frame}: the normalised input`, () => {
      isGolden(imageOfPatches(traced(`${frame}.input`)), `${frame}.input`)
    })
    it.each(['patch_tokens', 'block0', 'block1'])(`${frame}: %s`, (name) => {
      isGolden(traced(`${frame}.${name}`).values, `${frame}.${name}`)
    })
    it(`${frame}: features`, () => {
      isGolden(tracedMap(`${frame}.features`), `${frame}.features`)
    })
  }

  it.each(['proj1', 'proj2', 'fuse_in', 'fuse_trunk', 'coarse_flow', 'refined_flow'])('head: %s', (name) => {
    isGolden(tracedMap(`head.${name}`), `head.${name}`)
  })

  it('head: correlation, the last 81 of the fused channels', () => {
    const { values, rows, cols } = traced('head.fused')
    const correlation = transpose(values, rows, cols).subarray((cols - 81) * rows)
    isGolden(correlation, 'head.correlation')
  })

  it('head: the mask of the convex upsampling, before its softmax', () => {
    const weights = readTensors(TINY.head)
    const hidden = traced('head.mask_hidden')
    const weight = tensor(weights, 'convex_upsampler.mask_head.2.weight')
    const bias = tensor(weights, 'convex_upsampler.mask_head.2.bias')
    const mask = new Float32Array(bias.length * PATCHES)
    for (let channel = 0; channel < bias.length; channel++)
      for (let pixel = 0; pixel < PATCHES; pixel++) {
        let sum = bias[channel]!
        for (let i = 0; i < hidden.cols; i++)
          sum += weight[channel * hidden.cols + i]! * hidden.values[pixel * hidden.cols + i]!
        mask[channel * PATCHES + pixel] = sum
      }
    isGolden(mask, 'head.mask')
  })

  it('head: the upsampled flow', () => {
    isGolden(traced('head.flow_up').values, 'head.flow_up')
  })
})

describe('flow equals the oracle to 1e-3 px', () => {
  it('at the size of the network', async () => {
    const model = await loadTiny()
    const flow = await model.flow(...(await tinyFrames()))
    expect([flow.width, flow.height]).toEqual([160, 112])
    figure('tiny: flow, worst (px)', largestDifference(flow.data, tensor(golden, 'head.flow')), 1e-3)
    await model.dispose()
  })

  it('at another size', async () => {
    const model = await loadTiny()
    const flow = await model.flow(...(await tinyFrames()), { output: [150, 203] })
    const expected = readTensors(fixture('tiny/flow_150x203.safetensors'))
    expect([flow.width, flow.height]).toEqual([203, 150])
    const worst = largestDifference(flow.data, tensor(expected, 'flow'))
    figure('tiny: flow at 150 x 203, worst (px)', worst, 1e-3)
    await model.dispose()
  })

  it('with an MLP backbone, radius 3 and no refinement', async () => {
    await withFolder(async (folder) => {
      const [backbone, head] = [join(folder, 'backbone.safetensors'), join(folder, 'head.safetensors')]
      writeBackbone('tiny_mlp', backbone)
      writeHead('tiny_r3', head, 96)
      const model = await FlowModel.load({ backbone, head, size: 'native' })
      expect(model.info.backbone.ffn).toBe('mlp')
      expect(model.info.head).toMatchObject({ radius: 3, refine: 0 })

      const expected = readTensors(fixture('tiny/mlp_r3_norefine.safetensors'))
      const frames = await tinyFrames()
      const flow = await model.flow(...frames)
      const worst = largestDifference(flow.data, tensor(expected, 'flow'))
      figure('MLP, radius 3, no refinement: flow, worst (px)', worst, 1e-3)
      for (const [i, frame] of frames.entries()) {
        using features = model.featuresSync(frame)
        expect([features.gridHeight, features.gridWidth, features.dim]).toEqual([7, 10, 96])
        const channelsFirst = transpose(features.readSync(), PATCHES, 96)
        const error = relativeL2(channelsFirst, tensor(expected, `features${i + 1}`))
        figure('MLP, radius 3, no refinement: features, relative L2', error, 1e-5)
      }
      await model.dispose()
    })
  })
})

function toNative(frame: RgbFrame): NativeFrame {
  return checkFrame({ ...frame, format: 'rgb' }, 'frame')
}

/** Rows of patches, each (channel, y, x), to a planar image. */
function imageOfPatches({ values, cols }: TraceEntry): Float32Array {
  const { height, width, patch } = GRID
  const image = new Float32Array(values.length)
  for (let i = 0; i < values.length; i++) {
    const [row, rest] = [Math.floor(i / cols), i % cols]
    const [channel, y, x] = [Math.floor(rest / patch ** 2), Math.floor(rest / patch) % patch, rest % patch]
    const line = Math.floor(row / width) * patch + y
    image[(channel * height * patch + line) * width * patch + (row % width) * patch + x] = values[i]!
  }
  return image
}
