import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { join } from 'node:path'
import { FlowModel } from '../../lib/index.js'
import { loadModel } from '../../lib/load.js'
import { callSite, type NativeFrame, type NativeModel, type TraceEntry } from '../../lib/native.js'
import { largestDifference, relativeL2, transpose } from '../support/compare.js'
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
    const entries = native.trace(a!, b!, GRID.height, GRID.width, 112, 160)
    trace = new Map(entries.map((entry) => [entry.name, entry]))
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

  for (const frame of ['frame1', 'frame2']) {
    it(`${frame}: the normalised input`, () => {
      expect(
        relativeL2(imageOfPatches(traced(`${frame}.input`)), golden.get(`${frame}.input`)!),
      ).toBeLessThan(1e-5)
    })
    it.each(['patch_tokens', 'block0', 'block1'])(`${frame}: %s`, (name) => {
      expect(relativeL2(traced(`${frame}.${name}`).values, tensor(golden, `${frame}.${name}`))).toBeLessThan(
        1e-5,
      )
    })
    it(`${frame}: features`, () => {
      expect(relativeL2(tracedMap(`${frame}.features`), tensor(golden, `${frame}.features`))).toBeLessThan(
        1e-5,
      )
    })
  }

  it.each(['proj1', 'proj2', 'fuse_trunk', 'coarse_flow', 'refined_flow'])('head: %s', (name) => {
    expect(relativeL2(tracedMap(`head.${name}`), tensor(golden, `head.${name}`))).toBeLessThan(1e-5)
  })

  it('head: correlation, the last 81 of the fused channels', () => {
    const { values, rows, cols } = traced('head.fused')
    const correlation = transpose(values, rows, cols).subarray((cols - 81) * rows)
    expect(relativeL2(correlation, tensor(golden, 'head.correlation'))).toBeLessThan(1e-5)
  })

  it('head: fuse_in, whose channels squeeze-and-excitation scales', () => {
    const { values, cols } = traced('head.fuse_in_unscaled')
    const scale = traced('head.fuse_in_scale').values
    const scaled = values.map((value, i) => value * scale[i % cols]!)
    expect(relativeL2(transpose(scaled, PATCHES, cols), tensor(golden, 'head.fuse_in'))).toBeLessThan(1e-5)
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
    expect(relativeL2(mask, tensor(golden, 'head.mask'))).toBeLessThan(1e-5)
  })

  it('head: the upsampled flow', () => {
    expect(relativeL2(traced('head.flow_up').values, tensor(golden, 'head.flow_up'))).toBeLessThan(1e-5)
  })
})

describe('flow equals the oracle to 1e-3 px', () => {
  it('at the size of the network', async () => {
    const model = await loadTiny()
    const flow = await model.flow(...(await tinyFrames()))
    expect([flow.width, flow.height]).toEqual([160, 112])
    expect(largestDifference(flow.data, tensor(golden, 'head.flow'))).toBeLessThan(1e-3)
    await model.dispose()
  })

  it('at another size', async () => {
    const model = await loadTiny()
    const flow = await model.flow(...(await tinyFrames()), { output: [150, 203] })
    const expected = readTensors(fixture('tiny/flow_150x203.safetensors'))
    expect([flow.width, flow.height]).toEqual([203, 150])
    expect(largestDifference(flow.data, tensor(expected, 'flow'))).toBeLessThan(1e-3)
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
      expect(largestDifference(flow.data, tensor(expected, 'flow'))).toBeLessThan(1e-3)
      for (const [i, frame] of frames.entries()) {
        const features = model.featuresSync(frame)
        expect([features.gridHeight, features.gridWidth, features.dim]).toEqual([7, 10, 96])
        const channelsFirst = transpose(features.read(), PATCHES, 96)
        expect(relativeL2(channelsFirst, tensor(expected, `features${i + 1}`))).toBeLessThan(1e-5)
        features.dispose()
      }
      await model.dispose()
    })
  })
})

function toNative(frame: RgbFrame): NativeFrame {
  return { ...frame, stride: 3 * frame.width, format: 'rgb' }
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
