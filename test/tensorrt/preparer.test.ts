import { describe, expect, test } from 'vitest'
import { CallQueue } from '../../lib/calls/call-queue.js'
import type { FlowModelInfo } from '../../lib/load.js'
import type { NativeModel, NativePlan, NativeTrial } from '../../lib/native/contract.js'
import { callSite } from '../../lib/native/failure.js'
import type { BackboneEngine, PrepareOptions } from '../../lib/prepare.js'
import { PlanCache } from '../../lib/tensorrt/plan-cache.js'
import { Preparer } from '../../lib/tensorrt/preparer.js'
import { flowError } from '../support/compare.js'
import { TINY, withFolder } from '../support/fixtures.js'

const GRID = { gridHeight: 2, gridWidth: 3 }
const RIGHT: NativeTrial = { cosines: [1, 0.9999], milliseconds: { kernels: 3, tensorrt: 2 }, used: true }
const WRONG: NativeTrial = { ...RIGHT, cosines: [NaN, 0.5], used: false, reason: 'it is wrong' }
const SLOW: NativeTrial = { ...RIGHT, milliseconds: { kernels: 2, tensorrt: 3 } }

const coded = (code: string, message: string) => Object.assign(new Error(message), { code })

/** A native model whose TensorRT answers as it is told. */
class Native {
  readonly calls: string[] = []
  /** What comes of the plan that is numbered so: a number that a build counts. */
  trial: (plan: number) => NativeTrial | Error = () => RIGHT
  version = '10.16.1'
  reason: string | undefined
  /** What ends a build; by itself if there is none. */
  held = false
  onBuild = () => {}
  dispose = async () => {}
  #builds = 0
  #cancel = () => {}

  async tensorRT() {
    return this.reason === undefined ? { version: this.version } : { reason: this.reason }
  }

  buildPlan(_onnx: Uint8Array, timingCache: Uint8Array, tell: (share: number) => void): Promise<NativePlan> {
    this.calls.push(`build with ${timingCache.length} B of timings`)
    const plan = Uint8Array.of(++this.#builds)
    return new Promise((resolve, reject) => {
      this.#cancel = () => reject(coded('ERR_ABORTED', 'the build was aborted'))
      tell(0.5)
      this.onBuild()
      if (!this.held) resolve({ plan, timingCache: Uint8Array.of(1, 2, 3) })
    })
  }

  cancelBuild() {
    this.calls.push('cancel')
    this.#cancel()
  }

  async usePlan(
    height: number,
    width: number,
    plan: Uint8Array,
    onlyIfFaster: boolean,
  ): Promise<NativeTrial> {
    this.calls.push(`use ${plan[0]} for ${height} x ${width}${onlyIfFaster ? ' if faster' : ''}`)
    const trial = this.trial(plan[0]!)
    if (trial instanceof Error) throw trial
    const slow = onlyIfFaster && trial.milliseconds.tensorrt >= trial.milliseconds.kernels
    return slow ? { ...trial, used: false, reason: 'the kernels are faster' } : trial
  }
}

let devices = 0

/** A machine of its own, and models that run on it one after the other. */
function machine(folder: string) {
  const device = `GPU ${++devices}`
  return {
    open(native: Native, backboneEngine: BackboneEngine, info: Partial<FlowModelInfo> = {}) {
      const gpu = { computeCapability: '8.7', driver: '13.0' }
      const backbone = { patch: 16 }
      const all = { device, precision: 'fp16', gpu, backbone, backboneEngine, ...info } as FlowModelInfo
      const calls = new CallQueue(native as unknown as NativeModel, 3)
      const preparer = new Preparer(calls, all, TINY, new PlanCache(folder))
      const prepare = (options: PrepareOptions = {}, grid = GRID) =>
        preparer.prepare(callSite(machine), grid, options)
      return { prepare, preparer, calls }
    },
  }
}

describe('the first model builds, and later ones find what was built', () => {
  test.each(['auto', 'tensorrt'] as const)('%s', async (engine) => {
    await withFolder(async (folder) => {
      const { open } = machine(folder)
      const first = new Native()
      const expected = { grid: GRID, backboneEngine: 'tensorrt', reason: null }
      const trial = { version: '10.16.1', cosines: RIGHT.cosines, milliseconds: RIGHT.milliseconds }
      const shares: number[] = []
      const model = open(first, engine)
      const prepared = await model.prepare({ onProgress: ({ share }) => shares.push(share) })
      expect(prepared).toEqual({ ...expected, tensorrt: { ...trial, built: true } })
      expect(await model.prepare()).toBe(prepared)
      expect(model.preparer.prepared).toEqual([prepared])
      expect(shares).toEqual([0.5])
      const ifFaster = engine === 'auto' ? ' if faster' : ''
      expect(first.calls).toEqual(['build with 0 B of timings', `use 1 for 2 x 3${ifFaster}`])

      const later = new Native()
      expect(await open(later, engine).prepare()).toEqual({
        ...expected,
        tensorrt: { ...trial, built: false },
      })
      expect(later.calls).toEqual(['use 1 for 2 x 3']) // it was measured
    })
  })
})

test('another size, version or precision is built anew, with the timings of its version', async () => {
  await withFolder(async (folder) => {
    const { open } = machine(folder)
    const native = new Native()
    const model = open(native, 'tensorrt')
    await model.prepare()
    await model.prepare({}, { gridHeight: 4, gridWidth: 4 })
    await open(native, 'tensorrt', { precision: 'fp32' }).prepare()
    native.version = '10.16.2'
    await open(native, 'tensorrt').prepare()
    expect(native.calls.filter((call) => call.startsWith('build'))).toEqual(
      [0, 3, 3, 0].map((bytes) => `build with ${bytes} B of timings`),
    )
  })
})

test('where the kernels are faster, auto measures once, and tensorrt uses it all the same', async () => {
  await withFolder(async (folder) => {
    const { open } = machine(folder)
    const native = new Native()
    native.trial = () => SLOW
    const kernels = { backboneEngine: 'kernels', reason: expect.stringContaining('the kernels are faster') }
    expect(await open(native, 'auto').prepare()).toMatchObject({ ...kernels, tensorrt: { built: true } })
    native.calls.length = 0
    expect(await open(native, 'auto').prepare()).toMatchObject({
      ...kernels,
      tensorrt: { built: false, milliseconds: SLOW.milliseconds },
    })
    expect(native.calls).toEqual([])
    expect(await open(native, 'tensorrt').prepare()).toMatchObject({
      backboneEngine: 'tensorrt',
      reason: null,
    })
    expect(native.calls).toEqual(['use 1 for 2 x 3'])
  })
})

describe('a plan that is not trusted', () => {
  test('goes from the cache, and is not built again in this process', async () => {
    await withFolder(async (folder) => {
      const { open } = machine(folder)
      const native = new Native()
      native.trial = () => WRONG
      const kernels = { backboneEngine: 'kernels', reason: 'it is wrong' }
      expect(await open(native, 'auto').prepare()).toMatchObject({
        ...kernels,
        tensorrt: { built: true, cosines: [null, 0.5] },
      })
      native.calls.length = 0
      expect(await open(native, 'tensorrt').prepare()).toMatchObject({
        ...kernels,
        tensorrt: { built: false },
      })
      expect(native.calls).toEqual([])
    })
  })

  test('is noticed although it was right before', async () => {
    await withFolder(async (folder) => {
      const { open } = machine(folder)
      const native = new Native()
      await open(native, 'auto').prepare()
      native.trial = () => WRONG
      expect(await open(native, 'auto').prepare()).toMatchObject({ backboneEngine: 'kernels' })
      expect(native.calls).toEqual([
        'build with 0 B of timings',
        'use 1 for 2 x 3 if faster',
        'use 1 for 2 x 3',
      ])
    })
  })
})

describe('a plan that cannot be loaded', () => {
  const unusable = coded('ERR_DEVICE', 'TensorRT cannot load the plan')

  test('is built once more', async () => {
    await withFolder(async (folder) => {
      const { open } = machine(folder)
      await open(new Native(), 'auto').prepare()
      const native = new Native()
      let loads = 0
      native.trial = () => (++loads === 1 ? unusable : RIGHT)
      expect(await open(native, 'auto').prepare()).toMatchObject({
        backboneEngine: 'tensorrt',
        tensorrt: { built: true },
      })
      expect(native.calls).toEqual([
        'use 1 for 2 x 3',
        'build with 3 B of timings',
        'use 1 for 2 x 3 if faster',
      ])
    })
  })

  test('and not a third time', async () => {
    await withFolder(async (folder) => {
      const { open } = machine(folder)
      await open(new Native(), 'tensorrt').prepare()
      const native = new Native()
      native.trial = () => unusable
      expect(await open(native, 'tensorrt').prepare()).toMatchObject({
        backboneEngine: 'kernels',
        reason: 'TensorRT cannot load the plan',
        tensorrt: null,
      })
      expect(native.calls.filter((call) => call.startsWith('build'))).toHaveLength(1)
    })
  })
})

describe('no TensorRT', () => {
  test('is a reason, and nothing is built', async () => {
    await withFolder(async (folder) => {
      const native = new Native()
      native.reason = 'TensorRT: libnvinfer.so.10 is not found'
      const prepared = await machine(folder).open(native, 'auto').prepare()
      expect(prepared).toEqual({
        grid: GRID,
        backboneEngine: 'kernels',
        reason: native.reason,
        tensorrt: null,
      })
      expect(native.calls).toEqual([])
    })
  })

  test('is not looked for by a model that computes with the kernels', async () => {
    await withFolder(async (folder) => {
      const native = new Native()
      native.tensorRT = () => {
        throw new Error('looked for')
      }
      const prepared = await machine(folder).open(native, 'kernels').prepare()
      expect(prepared).toEqual({ grid: GRID, backboneEngine: 'kernels', reason: null, tensorrt: null })
    })
  })
})

describe('a build ends', () => {
  test.each(['signal', 'onProgress'])('with its %s, and the next one works', async (by) => {
    await withFolder(async (folder) => {
      const native = new Native()
      const { prepare, preparer } = machine(folder).open(native, 'tensorrt')
      const controller = new AbortController()
      native.held = true
      const own = new Error('enough')
      if (by === 'signal') native.onBuild = () => controller.abort(own)
      const onProgress = () => {
        if (by === 'onProgress') throw own
      }
      const ended = prepare({ signal: controller.signal, onProgress })
      await (by === 'signal'
        ? expect(ended).rejects.toThrow(flowError('ERR_ABORTED'))
        : expect(ended).rejects.toBe(own))
      expect(native.calls).toContain('cancel')
      expect(preparer.prepared).toEqual([])
      native.held = false
      native.onBuild = () => {}
      expect(await prepare()).toMatchObject({ backboneEngine: 'tensorrt' })
    })
  })

  test('with its model, and those that wait do not begin', async () => {
    await withFolder(async (folder) => {
      const native = new Native()
      const { prepare, preparer, calls } = machine(folder).open(native, 'tensorrt')
      native.held = true
      const building = new Promise<void>((resolve) => (native.onBuild = resolve))
      const all = [prepare(), prepare({}, { gridHeight: 9, gridWidth: 9 })].map((each) =>
        expect(each).rejects.toThrow(flowError('ERR_DISPOSED')),
      )
      await building
      const closed = calls.close(callSite(machine))
      preparer.cancel()
      await Promise.all([...all, closed])
      expect(native.calls.filter((call) => call.startsWith('build'))).toHaveLength(1)
    })
  })

  test('for one that waits for its turn at once, and the one before it goes on', async () => {
    await withFolder(async (folder) => {
      const native = new Native()
      const { prepare, preparer } = machine(folder).open(native, 'tensorrt')
      native.held = true
      const building = new Promise<void>((resolve) => (native.onBuild = resolve))
      const first = prepare()
      await building
      const controller = new AbortController()
      const second = prepare({ signal: controller.signal }, { gridHeight: 9, gridWidth: 9 })
      controller.abort()
      await expect(second).rejects.toThrow(flowError('ERR_ABORTED'))
      expect(native.calls).not.toContain('cancel')
      preparer.cancel()
      await expect(first).rejects.toThrow(flowError('ERR_ABORTED'))
    })
  })
})

test('a checkpoint that is gone is a reason, no error', async () => {
  await withFolder(async (folder) => {
    const native = new Native()
    const calls = new CallQueue(native as unknown as NativeModel, 3)
    const info = {
      backboneEngine: 'auto',
      precision: 'fp16',
      gpu: {},
      backbone: { patch: 16 },
    } as FlowModelInfo
    const source = { backbone: `${folder}/gone.safetensors`, head: TINY.head }
    const preparer = new Preparer(calls, info, source, new PlanCache(folder))
    expect(await preparer.prepare(callSite(machine), GRID, {})).toMatchObject({
      backboneEngine: 'kernels',
      reason: expect.stringContaining('no such file'),
    })
  })
})
