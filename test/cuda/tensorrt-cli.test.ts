import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { Diagnosis } from '../../lib/cli/doctor/diagnose.js'
import type { RunReport } from '../../lib/cli/run/report.js'
import type { EvalReport } from '../../lib/cli/eval/report.js'
import { TREES } from '../cli/data-sets.js'
import { runScript } from '../support/child.js'
import { needFfmpeg } from '../support/clips.js'
import { EMULATOR, TENSORRT } from '../support/emulator.js'
import { fixture } from '../support/fixtures.js'

const PROGRAM = fileURLToPath(new URL('../../dist/cli/index.js', import.meta.url))
const MODEL = ['--backbone', fixture('tiny/backbone.safetensors'), '--head', fixture('tiny/head.safetensors')]
const PICTURES = [fixture('tiny/frame1.png'), fixture('tiny/frame2.png')]
const ON_GPU = ['--device', 'cuda', '--size', 'native']

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'tensorrt-cli-'))
})
afterEach(() => rmSync(folder, { recursive: true }))

/** Runs a command on a machine with an emulated GPU and an emulated TensorRT. */
const run = (args: readonly string[], env: Readonly<Record<string, string>> = {}) =>
  runScript(PROGRAM, args, {
    DINOV3_FLOW_CUDA_DRIVER: EMULATOR,
    DINOV3_FLOW_TENSORRT: TENSORRT,
    DINOV3_FLOW_CACHE: join(folder, 'cache'),
    NVINFER_EMU_LOG: join(folder, 'log'),
    ...env,
  })
const log = () => readFileSync(join(folder, 'log'), 'utf8').trim().split('\n')

describe('run --backbone-engine', () => {
  const args = ['run', ...PICTURES, ...MODEL, ...ON_GPU]

  test('prepares before the first frame, and says what was used', async () => {
    const { code, stdout, stderr } = await run([...args, '--backbone-engine', 'tensorrt'])
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    expect(stdout).toMatch(/^backbone +TensorRT 10\.16\.1, [\d.]+ m?s a frame \(kernels [\d.]+ m?s\)$/m)
    const again = await run([...args, '--backbone-engine', 'tensorrt', '--json'])
    expect((JSON.parse(again.stdout) as RunReport).prepared).toMatchObject([
      { backboneEngine: 'tensorrt', tensorrt: { built: false } },
    ])
    expect(log()).toEqual(['build', 'built', 'loaded', 'loaded'])
  })

  test('says why the kernels are used, and warns', async () => {
    const fault = { NVINFER_EMU_FAULT: 'nan' }
    const { code, stdout, stderr } = await run([...args, '--backbone-engine', 'tensorrt'], fault)
    expect(code).toBe(0)
    expect(stdout).toMatch(/^backbone +kernels: TensorRT 10\.16\.1 computes features that are not finite$/m)
    expect(stderr).toContain('TensorRT is not used for the size 160 x 112')
  })

  test('is for no engine that there is not', async () => {
    const { code, stderr } = await run([...args, '--backbone-engine', 'cudnn'])
    expect(code).toBe(2)
    expect(stderr).toContain('kernels, auto, tensorrt')
  })

  test('opens and keeps nothing if it is left out', async () => {
    const { code, stdout } = await run([...args, '--json'])
    expect(code).toBe(0)
    expect((JSON.parse(stdout) as RunReport).prepared).toEqual([])
    expect(readdirSync(folder)).toEqual([])
  })
})

test('eval prepares the sizes of a data set', async () => {
  const root = join(folder, 'sintel')
  mkdirSync(root)
  await TREES['sintel']!(root)
  const json = join(folder, 'eval.json')
  const args = ['eval', 'sintel', root, ...MODEL, ...ON_GPU, '--backbone-engine', 'auto', '--limit', '2']
  const { code, stdout } = await run([...args, '--json', json])
  expect(code).toBe(0)
  expect(stdout).toMatch(/^backbone by (TensorRT 10|kernels: the kernels are faster)/m)
  const report = JSON.parse(readFileSync(json, 'utf8')) as EvalReport
  expect(report.settings['backboneEngine']).toBe('auto')
  expect(report.prepared).toHaveLength(1)
})

test('video prepares the size of its frames', async () => {
  needFfmpeg()
  const pictures = `${fixture('tiny')}/frame%d.png`
  const args = ['video', pictures, '--flow', join(folder, 'flow'), ...MODEL, ...ON_GPU]
  const { code, stdout } = await run([...args, '--backbone-engine', 'tensorrt'])
  expect(code).toBe(0)
  expect(stdout).toMatch(/^backbone +TensorRT 10\.16\.1, /m)
  expect(readdirSync(join(folder, 'flow'))).toHaveLength(1)
})

test('bench measures a contender with TensorRT', async () => {
  const json = join(folder, 'bench.json')
  const short = [
    '--scenario',
    'single-stream',
    '--frames',
    '2',
    '--seconds',
    '0.01',
    '--warm-up',
    '0',
    '--refine',
    'off',
  ]
  const contender = ['--contender', 'backbone-engine=tensorrt']
  const args = [
    'bench',
    ...MODEL,
    '--device',
    'cuda',
    '--frame-size',
    '32x48',
    '--size',
    'native',
    ...short,
    ...contender,
  ]
  const { code, stderr } = await run([...args, '--json', json, '-q'])
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  const { contenders } = JSON.parse(readFileSync(json, 'utf8')) as {
    contenders: { name: string; info: Record<string, unknown> }[]
  }
  expect(contenders.map(({ info }) => info['backbone'])).toEqual([
    undefined,
    expect.stringMatching(/^TensorRT 10\.16\.1, /),
  ])
})

describe('doctor', () => {
  const diagnose = async (env: Readonly<Record<string, string>>) => {
    const { stdout } = await run(['doctor', '--json'], env)
    return (JSON.parse(stdout) as Diagnosis).engines.tensorrt
  }

  test.each(['10.6.0', '10.16.1', '11.1.0'])('tries version %s, without the cache', async (version) => {
    const env = { NVINFER_EMU_VERSION: version }
    expect(await diagnose(env)).toEqual({
      works: true,
      version,
      library: TENSORRT,
      cosines: [expect.closeTo(1, 3), expect.closeTo(1, 3)],
      milliseconds: { kernels: expect.any(Number), tensorrt: expect.any(Number) },
    })
    expect(existsSync(join(folder, 'cache'))).toBe(false)
    const { stdout } = await run(['doctor'], env)
    expect(stdout).toMatch(new RegExp(`^tensorrt +works: ${version}, /`, 'm'))
    expect(stdout).toMatch(/cosine of its features and the kernels' (1\.0|0\.999)\d+ for a picture, /)
  })

  test.each([
    ['8.6.1', 'is too old'],
    ['9.3.0', 'is too old'],
    ['10.3.0', 'computes DINOv3 wrongly'],
  ])('does not try version %s', async (version, reason) => {
    const env = { NVINFER_EMU_VERSION: version }
    const { stdout, code } = await run(['doctor'], env)
    expect(code).toBe(0)
    expect(stdout).toMatch(/^tensorrt +not used: the backbone is computed by the kernels$/m)
    expect(stdout).toContain(`TensorRT ${version} `)
    expect(stdout).toContain(reason)
    expect(await diagnose(env)).toMatchObject({ works: false, version: null, error: { code: 'ERR_DEVICE' } })
  })

  test.each([
    ['wrong', 'computes other features than the kernels'],
    ['nan', 'not finite'],
    ['build', 'Could not find any implementation'],
  ])('says what is wrong with an engine that is %s', async (fault, reason) => {
    expect(await diagnose({ NVINFER_EMU_FAULT: fault })).toMatchObject({
      works: false,
      version: '10.16.1',
      error: { code: 'ERR_DEVICE', message: expect.stringContaining(reason) },
    })
  })

  test('names the library that was looked for', async () => {
    expect(await diagnose({ DINOV3_FLOW_TENSORRT: '/nowhere/libnvinfer.so.10' })).toMatchObject({
      works: false,
      version: null,
      error: { message: expect.stringContaining('/nowhere/libnvinfer.so.10') },
    })
  })

  test('looks for it only with a GPU', async () => {
    expect(await diagnose({ DINOV3_FLOW_CUDA_DRIVER: '/nowhere/libcuda.so.1' })).toMatchObject({
      works: false,
      error: { message: expect.stringContaining('needs the CUDA engine') },
    })
  })
})
