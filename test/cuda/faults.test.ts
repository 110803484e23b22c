import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { flowError, sameBits } from '../support/compare.js'
import { EMULATOR, useEmulator } from '../support/emulator.js'
import { loadTiny, tinyFrames } from '../support/fixtures.js'
import { runScript } from '../support/child.js'

useEmulator()
const [a, b] = await tinyFrames()
const load = () => loadTiny({ device: 'cuda' })

afterEach(() => vi.unstubAllEnvs())

/** Has the n-th of the coming calls of a driver's function fail. */
const failAt = (call: string, n: number) => vi.stubEnv('EMULATOR_FAIL', `${call}:${n}`)

describe('want of GPU memory', () => {
  it('while loading is ERR_OUT_OF_MEMORY, leaves other models alive, and passes', async () => {
    await using other = await load()
    const expected = await other.flow(a, b)
    for (const n of [1, 2, 7, 40]) {
      failAt('cuMemAlloc', n)
      await expect(load()).rejects.toThrow(flowError('ERR_OUT_OF_MEMORY', 'MiB'))
      vi.unstubAllEnvs()
      expect(sameBits((await other.flow(a, b)).data, expected.data)).toBe(true)
    }
    await using late = await load()
    expect(sameBits((await late.flow(a, b)).data, expected.data)).toBe(true)
  })

  it('while loading has auto take the CPU, and say why', async () => {
    failAt('cuMemAlloc', 40)
    await using model = await loadTiny({ device: 'auto' })
    vi.unstubAllEnvs()
    expect(model.info).toMatchObject({
      engine: 'cpu',
      gpuUnused: expect.stringContaining('out of GPU memory'),
    })
    await using cpu = await loadTiny({ device: 'cpu' })
    expect(sameBits((await model.flow(a, b)).data, (await cpu.flow(a, b)).data)).toBe(true)
  })

  it('at the first frame of a size is that call’s error, and the next call works', async () => {
    await using model = await load()
    const expected = await model.flow(a, b)
    for (let n = 1; n <= 6; n++) {
      failAt('cuMemAlloc', n)
      const size = [16 * n, 256] as const
      await expect(model.flow(a, b, { size })).rejects.toThrow(flowError('ERR_OUT_OF_MEMORY'))
      vi.unstubAllEnvs()
      await model.flow(a, b, { size })
      expect(sameBits((await model.flow(a, b)).data, expected.data)).toBe(true)
    }
  })
})

describe('a GPU that cannot be used', () => {
  const print = (env: Readonly<Record<string, string>>, ...args: string[]) =>
    runScript('print-engine.mjs', args, { ...env }).then(({ stdout }) => JSON.parse(stdout))

  it.each<[string, Record<string, string>, string]>([
    ['no driver', { DINOV3_FLOW_CUDA_DRIVER: '/nowhere/libcuda.so.1' }, 'libcuda'],
    ['no device', { EMULATOR_DEVICES: '0' }, 'NO_DEVICE'],
    ['an old driver', { EMULATOR_DRIVER_VERSION: '10000' }, 'update it'],
    // CUDA_ERROR_NO_BINARY_FOR_GPU
    [
      'a driver that refuses all kernels',
      { EMULATOR_FAIL: 'cuModuleLoadData:1+:209' },
      'build the addon on this machine',
    ],
  ])('%s: cuda is refused with the reason, auto takes the CPU and says why', async (_, env, reason) => {
    const refused = await print(env, 'cuda')
    expect(refused).toMatchObject({ code: 'ERR_DEVICE', message: expect.stringContaining(reason) })
    const automatic = await print(env, 'auto')
    expect(automatic).toMatchObject({ engine: 'cpu', gpuUnused: expect.stringContaining(reason) })
  })

  it('auto takes a GPU that works', async () => {
    expect(await print({}, 'auto')).toMatchObject({ engine: 'cuda', gpuUnused: null })
  })

  it('the second of two is used where it is asked for', async () => {
    const two = { EMULATOR_DEVICES: '2' }
    expect(await print(two, 'cuda:1')).toMatchObject({ engine: 'cuda', gpu: { index: 1 } })
    expect(await print(two, 'cuda')).toMatchObject({ engine: 'cuda', gpu: { index: 0 } })
  })

  it('an index beyond the last GPU is refused', async () => {
    await expect(loadTiny({ device: 'cuda:3' })).rejects.toThrow(flowError('ERR_DEVICE', '3'))
  })

  it('bf16 is refused before compute capability 8.0, by name', async () => {
    expect(await print({ EMULATOR_CAPABILITY: '7.5' }, 'cuda', 'bf16')).toMatchObject({
      code: 'ERR_DEVICE',
      message: expect.stringContaining('8.0'),
    })
  })
})

it('the C++ tests of the runtime fail where the driver that they are to use shows no GPU', () => {
  const program = fileURLToPath(new URL('../../build/tests-host/cuda_runtime_test', import.meta.url))
  const run = (driver: string, devices: string) =>
    spawnSync(program, {
      env: { DINOV3_FLOW_CUDA_DRIVER: driver, EMULATOR_DEVICES: devices },
      encoding: 'utf8',
    })
  expect(run(EMULATOR, '1').status).toBe(0)
  for (const { status, stdout } of [run(EMULATOR, '0'), run('/nowhere/libcuda.so.1', '1')]) {
    expect(status).toBe(1)
    expect(stdout).toContain('FAILED the driver that the environment names shows a GPU')
    expect(stdout).toMatch(/CUDA_ERROR_NO_DEVICE|nowhere/)
    expect(stdout).toMatch(/ passed, 1 failed/)
  }
})

/** The driver's functions, by the names in the engine's table. */
const FUNCTIONS = [
  ...readFileSync(new URL('../../native/cuda/driver_api.h', import.meta.url), 'utf8').matchAll(
    / X\((cu\w+),/g,
  ),
].map(([, name]) => name!)

function messageFor(name: string): RegExp {
  if (/^cuMem(Host)?Alloc$/.test(name)) return /out of (GPU )?memory: 1 MiB/
  // Contexts are switched in destructors, too, where nothing can be thrown: the next function tells.
  const teller = name.startsWith('cuCtx') ? 'cu' : name
  return new RegExp(`${teller}.* \\(\\w+\\.(cpp|h):\\d+\\) failed: CUDA_ERROR_`)
}

describe('a driver’s error', () => {
  it(
    'in whatever function is told with its name and place, and leaves other models alive',
    { tags: ['slow'] },
    async () => {
      expect(FUNCTIONS.length).toBeGreaterThan(40)
      await using other = await load()
      const expected = await other.flow(a, b)
      const told: string[] = []
      // A launch that failed ends the process's use of the device: the test below.
      for (const name of FUNCTIONS.filter((name) => !/Launch/.test(name))) {
        failAt(name, 1)
        try {
          await using model = await load()
          // Launch by launch, recorded, and replayed.
          for (let frame = 0; frame < 3; frame++) await model.flow(a, b)
        } catch (error) {
          expect(error).toMatchObject({
            code: expect.stringMatching(/ERR_DEVICE|ERR_OUT_OF_MEMORY/),
            message: expect.stringMatching(messageFor(name)),
          })
          told.push(name)
        }
        vi.unstubAllEnvs()
        expect(sameBits((await other.flow(a, b)).data, expected.data)).toBe(true)
      }
      for (const part of [
        'ModuleLoad',
        'GetFunction',
        'MemAlloc',
        'HtoD',
        'DtoH',
        'StreamCreate',
        'Synchronize',
        'BeginCapture',
        'EndCapture',
        'GraphInstantiate',
      ])
        expect(told.some((name) => name.includes(part))).toBe(true)
    },
  )

  it('ends the model, with function, place and name, and every call after it says so', async () => {
    const { stdout } = await runScript('fail-launch.mjs', [], {})
    const calls = JSON.parse(stdout) as { code: string; message: string }[]
    expect(calls).toHaveLength(3)
    for (const { code, message } of calls) {
      expect(code).toBe('ERR_DEVICE')
      expect(message).toMatch(
        /cuLaunchKernel of \w+ \(launch\.h:\d+\).*CUDA_ERROR_LAUNCH_FAILED.*cannot be used any more/s,
      )
    }
  })
})
