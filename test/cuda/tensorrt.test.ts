import { spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  watch,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import type { FlowModel, LoadOptions, Prepared } from '../../lib/index.js'
import { sealed } from '../../lib/tensorrt/sealed.js'
import { runScript } from '../support/child.js'
import { cosine, flowError, sameBits } from '../support/compare.js'
import { TENSORRT, useEmulator } from '../support/emulator.js'
import { loadTiny, tinyFrames } from '../support/fixtures.js'
import { warningsOf } from '../support/warnings.js'

useEmulator()
const [a, b] = await tinyFrames()
/** Half of each side, for a size that is not prepared. */
const OTHER = { size: [48, 80] } as const
const load = (options: Partial<LoadOptions> = {}) =>
  loadTiny({ device: 'cuda', backboneEngine: 'tensorrt', ...options })

/** The model by the kernels, for comparisons. */
const kernels = await loadTiny({ device: 'cuda' })
const expected = await kernels.flow(a, b)
const byKernels = (flow: { readonly data: Float32Array }) => sameBits(flow.data, expected.data)

test('a model without TensorRT opens none of it', () => {
  expect(readFileSync('/proc/self/maps', 'utf8')).not.toContain('nvinfer')
})

let folder: string
/** A machine's TensorRT, and its cache. */
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'tensorrt-'))
  vi.stubEnv('DINOV3_FLOW_TENSORRT', TENSORRT)
  vi.stubEnv('DINOV3_FLOW_CACHE', folder)
  vi.stubEnv('NVINFER_EMU_LOG', join(folder, 'log'))
})
afterEach(() => {
  vi.unstubAllEnvs()
  rmSync(folder, { recursive: true })
})

const fault = (name: string) => vi.stubEnv('NVINFER_EMU_FAULT', name)
/** What TensorRT did so far. */
const log = () =>
  existsSync(join(folder, 'log')) ? readFileSync(join(folder, 'log'), 'utf8').trim().split('\n') : []
const plans = () => {
  const cache = join(folder, 'tensorrt')
  return existsSync(cache) ? readdirSync(cache).filter((name) => name.endsWith('.plan')) : []
}
const plan = () => join(folder, 'tensorrt', plans()[0]!)

describe('a size that was prepared', () => {
  test('is computed by TensorRT, and no other one', async () => {
    await using model = await load()
    const prepared = await model.prepare(a)
    expect(prepared).toEqual({
      grid: { gridHeight: 7, gridWidth: 10 },
      backboneEngine: 'tensorrt',
      reason: null,
      tensorrt: {
        version: '10.16.1',
        cosines: [expect.closeTo(1, 3), expect.closeTo(1, 3)],
        milliseconds: { kernels: expect.any(Number), tensorrt: expect.any(Number) },
        built: true,
      },
    } satisfies Prepared)
    expect(model.prepared).toEqual([prepared])
    expect(model.info.backboneEngine).toBe('tensorrt')
    const flow = await model.flow(a, b)
    expect(byKernels(flow)).toBe(false)
    expect(cosine(flow.data, expected.data)).toBeGreaterThan(0.999)

    const other = await kernels.flow(a, b, OTHER)
    fault('wrong') // from now on
    expect(cosine((await model.flow(a, b)).data, expected.data)).toBeLessThan(0.9)
    expect(sameBits((await model.flow(a, b, OTHER)).data, other.data)).toBe(true)
  })

  test.each(['fp16', 'fp32'] as const)('is computed in %s, by streams as by calls', async (precision) => {
    await using model = await load({ precision })
    await model.prepare(a)
    expect(model.prepared[0]).toMatchObject({ backboneEngine: 'tensorrt' })
    const flow = await model.flow(a, b)
    const stream = model.stream()
    await stream.push(a)
    const streamed = await stream.push(b)
    stream.close()
    expect(sameBits(streamed!.flow!.data, flow.data)).toBe(true)
  })

  test('is computed with the normalisation of pixels and the periods that the model was loaded with', async () => {
    const normalization = { mean: [0.43, 0.411, 0.296], std: [0.213, 0.156, 0.143] } as const
    await using model = await load({ normalization, ropePeriods: 'bfloat16' })
    expect(await model.prepare(a)).toMatchObject({
      backboneEngine: 'tensorrt',
      tensorrt: { cosines: [expect.closeTo(1, 4), expect.closeTo(1, 4)] },
    })
  })

  test('of a frame, in the size that the call asks for', async () => {
    await using model = await load()
    expect((await model.prepare(a, OTHER)).grid).toEqual({ gridHeight: 3, gridWidth: 5 })
    expect(byKernels(await model.flow(a, b))).toBe(true)
    const flow = await model.flow(a, b, OTHER)
    expect(sameBits(flow.data, (await kernels.flow(a, b, OTHER)).data)).toBe(false)
  })

  test('is prepared once, whoever asks', async () => {
    await using model = await load()
    const [first, second] = await Promise.all([model.prepare(a), model.prepare(a)])
    expect(second).toBe(first)
    expect(log()).toEqual(['build', 'built', 'loaded'])
  })
})

describe('versions', () => {
  test.each(['10.6.0', '10.16.1', '11.0.0', '11.1.0'])('%s is used', async (version) => {
    vi.stubEnv('NVINFER_EMU_VERSION', version)
    await using model = await load()
    expect(await model.prepare(a)).toMatchObject({ backboneEngine: 'tensorrt', tensorrt: { version } })
  })

  test.each([
    ['8.6.1', 'too old'],
    ['9.3.0', 'too old'],
    ['10.3.0', 'computes DINOv3 wrongly'],
    ['12.0.0', 'newer than this package knows'],
  ])('%s is refused: %s', async (version, reason) => {
    vi.stubEnv('NVINFER_EMU_VERSION', version)
    await using model = await load()
    const prepared = await model.prepare(a)
    expect(prepared).toMatchObject({ backboneEngine: 'kernels', tensorrt: null })
    expect(prepared.reason).toContain(`TensorRT ${version}`)
    expect(prepared.reason).toContain(reason)
    expect(byKernels(await model.flow(a, b))).toBe(true)
    expect(log()).toEqual([])
  })
})

describe('an engine that fails is not used, the reason is told once, and the model works', () => {
  const faults: [string, string, boolean][] = [
    ['wrong', 'computes other features than the kernels', true],
    ['nan', 'computes features that are not finite', true],
    ['network', 'makes no network', false],
    ['parse', 'cannot read the network: In node 7', false],
    ['build', 'Could not find any implementation', false],
    ['deserialize', 'does not take the plan', false],
    ['tensors', 'a plan with 3 tensors', false],
    ['enqueue', 'does not run the engine', false],
  ]

  test.each(faults)('%s: %s', async (name, reason, tried) => {
    fault(name)
    // What is not trusted is not tried again, and a version has engines of its own.
    vi.stubEnv('NVINFER_EMU_VERSION', `10.9.${faults.findIndex(([each]) => each === name)}`)
    await using model = await load()
    let prepared: Prepared | undefined
    const warnings = await warningsOf(async () => {
      prepared = await model.prepare(a)
      await model.prepare(a)
      expect(byKernels(await model.flow(a, b))).toBe(true)
    })
    expect(prepared).toMatchObject({ backboneEngine: 'kernels', reason: expect.stringContaining(reason) })
    expect(prepared!.tensorrt === null).toBe(!tried)
    expect(warnings).toEqual([
      `DINOV3_FLOW_TENSORRT: TensorRT is not used for the size 160 x 112: ${prepared!.reason}`,
    ])
    if (tried) expect(plans()).toEqual([])
  })

  test('and auto warns of nothing', async () => {
    fault('build')
    await using model = await load({ backboneEngine: 'auto' })
    expect(await warningsOf(async () => void (await model.prepare(a)))).toEqual([])
    expect(model.prepared).toMatchObject([{ backboneEngine: 'kernels' }])
  })

  test('where the library is not there', async () => {
    vi.stubEnv('DINOV3_FLOW_TENSORRT', '/nowhere/libnvinfer.so.10')
    await using model = await load({ backboneEngine: 'auto' })
    const { reason } = await model.prepare(a)
    expect(reason).toContain('/nowhere/libnvinfer.so.10')
    expect(reason).toContain('named by DINOV3_FLOW_TENSORRT')
  })
})

describe('auto takes the faster one', () => {
  test('which is measured once', async () => {
    fault('slow')
    const first = await load({ backboneEngine: 'auto' })
    const { tensorrt, backboneEngine, reason } = await first.prepare(a, { size: [32, 32] })
    await first.dispose()
    const { kernels, tensorrt: slow } = tensorrt!.milliseconds
    expect(slow).toBeGreaterThan(50)
    expect(backboneEngine).toBe(slow < kernels ? 'tensorrt' : 'kernels')
    if (backboneEngine === 'kernels') expect(reason).toContain('the kernels are faster')
    const before = log().length
    await using second = await load({ backboneEngine: 'auto' })
    expect(await second.prepare(a, { size: [32, 32] })).toMatchObject({
      backboneEngine,
      tensorrt: { built: false },
    })
    expect(log().slice(before)).toEqual(backboneEngine === 'tensorrt' ? ['loaded'] : [])
  })
})

describe('models that TensorRT has no engine for compute by the kernels', () => {
  test.each([
    ['on a CPU', { device: 'cpu' }, 'needs a GPU'],
    ['in bf16', { precision: 'bf16' }, 'fp16 and fp32'],
  ] as const)('%s', async (_, options, reason) => {
    await using model = await load({ backboneEngine: 'auto', ...options })
    expect(await model.prepare(a)).toMatchObject({
      backboneEngine: 'kernels',
      reason: expect.stringContaining(reason),
      tensorrt: null,
    })
    expect(log()).toEqual([])
  })

  test('as it was asked for', async () => {
    await using model = await load({ backboneEngine: 'kernels' })
    expect(await model.prepare(a)).toEqual({
      grid: { gridHeight: 7, gridWidth: 10 },
      backboneEngine: 'kernels',
      reason: null,
      tensorrt: null,
    })
  })
})

describe('the cache', () => {
  const prepareOnce = async () => {
    await using model = await load()
    return await model.prepare(a)
  }

  test('gives a later process what was built', async () => {
    const { code, stdout } = await runScript('prepare-tiny.mjs')
    expect({ code, prepared: JSON.parse(stdout) as unknown }).toMatchObject({
      code: 0,
      prepared: { backboneEngine: 'tensorrt', tensorrt: { built: true } },
    })
    expect(await prepareOnce()).toMatchObject({ backboneEngine: 'tensorrt', tensorrt: { built: false } })
    expect(log()).toEqual(['build', 'built', 'loaded', 'loaded'])
  })

  test('that was cut is built again', async () => {
    await prepareOnce()
    truncateSync(plan(), 5000)
    expect(await prepareOnce()).toMatchObject({ backboneEngine: 'tensorrt', tensorrt: { built: true } })
    expect(await prepareOnce()).toMatchObject({ tensorrt: { built: false } })
  })

  test('with a plan that TensorRT does not take is built again', async () => {
    await prepareOnce()
    writeFileSync(plan(), Buffer.concat(await sealed(plans()[0]!, Buffer.from('plan of 10.1.0\n'))))
    expect(await prepareOnce()).toMatchObject({ backboneEngine: 'tensorrt', tensorrt: { built: true } })
    expect(await prepareOnce()).toMatchObject({ tensorrt: { built: false } })
  })

  test('has the timings of earlier builds', async () => {
    await prepareOnce()
    expect(readdirSync(join(folder, 'tensorrt')).filter((name) => name.endsWith('.timing'))).toHaveLength(1)
  })

  test('of a process that was killed in a build serves the next one', async () => {
    const script = fileURLToPath(new URL('../support/prepare-tiny.mjs', import.meta.url))
    fault('hang')
    const built = new Promise<void>((resolve) => {
      const watcher = watch(folder, () => {
        if (!log().includes('build')) return
        watcher.close()
        resolve()
      })
    })
    const child = spawn(process.execPath, [script], { stdio: 'ignore' })
    await built
    child.kill('SIGKILL')
    await once(child, 'exit')
    expect(plans()).toEqual([])
    fault('')
    expect(await prepareOnce()).toMatchObject({ backboneEngine: 'tensorrt', tensorrt: { built: true } })
  })

  test('serves two processes at once', async () => {
    const both = await Promise.all([runScript('prepare-tiny.mjs'), runScript('prepare-tiny.mjs')])
    for (const { stdout } of both) expect(JSON.parse(stdout)).toMatchObject({ backboneEngine: 'tensorrt' })
    expect(plans()).toHaveLength(1)
    expect(await prepareOnce()).toMatchObject({ tensorrt: { built: false } })
  })
})

describe('a build that goes on', () => {
  /** Prepares until the build has begun. */
  const begun = async (model: FlowModel, signal?: AbortSignal) => {
    fault('hang')
    let begin: (() => void) | undefined
    const begins = new Promise<void>((resolve) => (begin = resolve))
    const prepared = model.prepare(a, {
      signal,
      onProgress: ({ phase, share }) => {
        if (phase === 'build' && share > 0) begin!()
      },
    })
    prepared.catch(() => {})
    await Promise.race([begins, prepared])
    return { prepared }
  }

  test('ends with its signal; frames that waited are computed, and the size can be prepared', async () => {
    await using model = await load()
    const controller = new AbortController()
    const { prepared } = await begun(model, controller.signal)
    const flow = model.flow(a, b)
    controller.abort()
    await expect(prepared).rejects.toThrow(flowError('ERR_ABORTED'))
    expect(byKernels(await flow)).toBe(true)
    expect(model.prepared).toEqual([])
    fault('')
    expect(await model.prepare(a)).toMatchObject({ backboneEngine: 'tensorrt' })
  })

  test('ends if onProgress throws', async () => {
    await using model = await load()
    fault('hang')
    const own = new Error('enough')
    const onProgress = () => {
      throw own
    }
    await expect(model.prepare(a, { onProgress })).rejects.toBe(own)
    expect(byKernels(await model.flow(a, b))).toBe(true)
  })

  test.each(['dispose', 'disposeSync'] as const)('ends with %s', async (how) => {
    const model = await load()
    const { prepared } = await begun(model)
    await model[how]()
    await expect(prepared).rejects.toThrow(flowError('ERR_DISPOSED'))
  })
})

describe('what cannot be prepared is refused, and the model works', () => {
  const any = (value: unknown) => value as never

  test.each([
    [
      'an engine that there is not',
      { backboneEngine: any('cudnn') },
      'one of kernels, auto, tensorrt, not "cudnn"',
    ],
  ])('%s', async (_, options, message) => {
    await expect(load(options)).rejects.toThrow(flowError('ERR_ARGUMENT', 'backboneEngine', message))
  })

  test.each([
    ['no size', [undefined], 'frame: must be { width, height }'],
    ['a side of 0', [{ width: 0, height: 10 }], 'not 0 and 10'],
    ['half a pixel', [{ width: 10.5, height: 10 }], 'not 10.5 and 10'],
    ['a size that is no multiple', [{ width: 9, height: 9 }, { size: [17, 16] }], 'not a multiple'],
    ['no signal', [{ width: 9, height: 9 }, { signal: {} }], 'signal'],
    ['no function', [{ width: 9, height: 9 }, { onProgress: 1 }], 'onProgress'],
    ['no options', [{ width: 9, height: 9 }, null], 'options'],
  ])('%s', async (_, args, message) => {
    await using model = await load()
    await expect(model.prepare(...(args as [never, never]))).rejects.toThrow(
      flowError('ERR_ARGUMENT', message),
    )
    expect(model.prepared).toEqual([])
    expect(byKernels(await model.flow(a, b))).toBe(true)
  })

  test('with a signal that has fired', async () => {
    await using model = await load()
    await expect(model.prepare(a, { signal: AbortSignal.abort() })).rejects.toThrow(flowError('ERR_ABORTED'))
    expect(log()).toEqual([])
  })

  test('of a model that was disposed', async () => {
    const model = await load()
    await model.dispose()
    await expect(model.prepare(a)).rejects.toThrow(flowError('ERR_DISPOSED'))
  })
})
