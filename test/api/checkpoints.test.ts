import { copyFileSync, readFileSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import type { FlowField, LoadProgress } from '../../lib/index.js'
import { FlowModel } from '../../lib/index.js'
import { flowError, largestDifference, sameBits } from '../support/compare.js'
import { fixture, loadTiny, TINY, tinyFrames, withFolder } from '../support/fixtures.js'

async function flowOf(backbone: string, head: string, backboneConfig?: string): Promise<FlowField> {
  const model = await FlowModel.load({ backbone, head, backboneConfig, size: 'native' })
  try {
    return await model.flow(...(await tinyFrames()))
  } finally {
    await model.dispose()
  }
}

describe('the form of a checkpoint does not matter', () => {
  let expected: FlowField
  beforeAll(async () => {
    expected = await flowOf(TINY.backbone, TINY.head)
  })

  it.each([
    ['.pth', 'backbone.pth', 'head.pth'],
    ['nested state dict', 'backbone.safetensors', 'head_nested.pth'],
    ['pre-zip torch.save', 'backbone.safetensors', 'head_legacy.pth'],
  ])('%s gives the same bits', async (_, backbone, head) => {
    const flow = await flowOf(fixture(`tiny/${backbone}`), fixture(`tiny/${head}`))
    expect(sameBits(flow.data, expected.data)).toBe(true)
  })

  it('Hugging Face names, config.json and missing k bias give the same bits', async () => {
    const flow = await flowOf(
      fixture('tiny/backbone_hf.safetensors'),
      TINY.head,
      fixture('tiny/config_hf.json'),
    )
    expect(sameBits(flow.data, expected.data)).toBe(true)
  })

  it('a Hugging Face folder is found with its config.json', async () => {
    await withFolder(async (folder) => {
      copyFileSync(fixture('tiny/backbone_hf.safetensors'), join(folder, 'model.safetensors'))
      copyFileSync(fixture('tiny/config_hf.json'), join(folder, 'config.json'))
      expect(sameBits((await flowOf(folder, TINY.head)).data, expected.data)).toBe(true)
    })
  })

  it('float16 is close, and bfloat16 less so', async () => {
    const half = await flowOf(TINY.backbone, fixture('tiny/head_fp16.pth'))
    const brain = await flowOf(TINY.backbone, fixture('tiny/head_bf16.pth'))
    expect(largestDifference(half.data, expected.data)).toBeLessThan(0.1)
    expect(largestDifference(brain.data, expected.data)).toBeLessThan(0.5)
    expect(sameBits(half.data, expected.data)).toBe(false)
  })
})

describe('a checkpoint that cannot be used is refused', () => {
  it('with a weight that is NaN, naming file, tensor and place', async () => {
    const head = fixture('hostile/nan_weight.safetensors')
    await expect(FlowModel.load({ backbone: TINY.backbone, head })).rejects.toThrow(
      flowError('ERR_CHECKPOINT_TENSOR', head, 'tensor "', 'NaN at ['),
    )
  })

  it('where the file is not there', async () => {
    await expect(loadTiny({ backbone: 'no-such-file.pth' })).rejects.toThrow(
      flowError('ERR_IO', 'no-such-file.pth'),
    )
  })

  it('where backbone and head are swapped', async () => {
    await expect(FlowModel.load({ backbone: TINY.head, head: TINY.backbone })).rejects.toThrow(
      flowError('ERR_CHECKPOINT_TENSOR', 'swapped'),
    )
  })

  it('where the file becomes shorter while it is loaded', async () => {
    await withFolder(async (folder) => {
      const head = join(folder, 'head.safetensors')
      writeFileSync(head, readFileSync(TINY.head))
      let reads = 0
      const loading = FlowModel.load({
        backbone: TINY.backbone,
        head,
        get threads() {
          if (++reads === 2) truncateSync(head, 50_000) // first it is checked, then taken: between headers and weights
          return 1
        },
      })
      await expect(loading).rejects.toThrow(flowError('ERR_CHECKPOINT_FORMAT', head, 'tensor "', 'shorter'))
    })
  })
})

describe('loading', () => {
  it('tells of progress up to the last byte', async () => {
    const told: number[] = []
    let total = 0
    const model = await loadTiny({
      onProgress: (progress) => {
        told.push(progress.loaded)
        total = progress.total
      },
    })
    expect(told).toEqual([...told].sort((a, b) => a - b))
    expect(told.at(-1)).toBe(total)
    expect(total).toBe(model.info.memory.weights)
    await model.dispose()
  })

  it('tells of the last byte, also if the weights are read while onProgress runs', async () => {
    let last: LoadProgress | undefined
    const block = new Int32Array(new SharedArrayBuffer(4))
    await using _ = await loadTiny({
      onProgress: (progress) => {
        if (last === undefined) Atomics.wait(block, 0, 0, 200) // time enough to read the rest
        last = progress
      },
    })
    expect(last!.loaded).toBe(last!.total)
  })

  it('ends with what onProgress throws', async () => {
    const mine = new Error('mine')
    const loading = loadTiny({
      onProgress: () => {
        throw mine
      },
    })
    await expect(loading).rejects.toBe(mine)
  })

  it('can be aborted before and while it runs', async () => {
    await expect(loadTiny({ signal: AbortSignal.abort('why') })).rejects.toThrow(flowError('ERR_ABORTED'))
    const controller = new AbortController()
    const loading = loadTiny({ signal: controller.signal })
    controller.abort('changed my mind')
    await expect(loading).rejects.toMatchObject({ code: 'ERR_ABORTED', cause: 'changed my mind' })
  })

  it('describes the model and what it runs on', async () => {
    const { info } = await loadTiny({ threads: 2 })
    expect(info).toMatchObject({
      engine: 'cpu',
      precision: 'fp32',
      threads: 2,
      backbone: { dim: 64, depth: 2, heads: 2, headDim: 32, ffn: 'swiglu', patch: 16, storageTokens: 4 },
      head: { inChannels: 64, proj: 32, radius: 4, fusion: 48, layers: 2, up: 16, refine: 1 },
      files: { backbone: TINY.backbone, head: TINY.head },
      unused: { backbone: [], head: [] },
    })
    expect(info.instructionSet).toMatch(/^(avx512(-split)?|avx2|sse2|neon)$/)
    expect(JSON.parse(JSON.stringify(info))).toEqual(info)
  })

  it('takes paths and file: URLs, and a file that holds both models', async () => {
    const { pathToFileURL } = await import('node:url')
    const model = await loadTiny({ backbone: pathToFileURL(TINY.backbone), head: pathToFileURL(TINY.head) })
    await model.dispose()
  })
})
