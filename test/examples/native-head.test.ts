import { spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs'
import { createRequire } from 'node:module'
import { pathToFileURL } from 'node:url'
import { Worker } from 'node:worker_threads'
import { type DLPackCapsule, FlowModel, loadImage, savePng } from 'dinov3-flow'
import { afterEach, beforeAll, describe, expect, test, vi } from 'vitest'
import { PACKAGE_ROOT } from '../../lib/cli/package.js'
import { scratch } from '../cli/helpers.js'
import { useEmulator } from '../support/emulator.js'
import { noiseFrame, TINY } from '../support/fixtures.js'
import { type HostEvent, traced } from '../support/host-trace.js'
import { randomFrom } from '../support/random.mjs'
import { GlobalMemory, runPtx } from './ptx.js'
import { example, runExample } from './run.js'
import { texture } from './scenes.js'

useEmulator()
const at = scratch()
const HEAD = at('examples/native-head')

interface Addon {
  nearest(features: DLPackCapsule, known: DLPackCapsule, knownLabels: DLPackCapsule): DLPackCapsule
  openGpu(index: number, ptx: string): bigint
}
let addon: Addon
let openNearest: typeof import('../../examples/native-head/nearest.mjs').openNearest

/** Builds the addon by the command of its README, in a folder as a user has it. */
beforeAll(async () => {
  mkdirSync(at('node_modules'))
  cpSync(example('.'), at('examples'), { recursive: true })
  rmSync(`${HEAD}/nearest.node`, { force: true })
  symlinkSync(PACKAGE_ROOT, at('node_modules/dinov3-flow'), 'junction')
  symlinkSync(
    `${PACKAGE_ROOT}/node_modules/node-api-headers`,
    at('node_modules/node-api-headers'),
    'junction',
  )
  const command = /^cc (?:.*\\\n)*.*$/m.exec(readFileSync(`${HEAD}/README.md`, 'utf8'))![0]
  const strict = `${command} -std=c11 -Wall -Wextra -Wpedantic -Werror`
  const { status, stderr } = spawnSync('sh', ['-c', strict], { cwd: at('.'), encoding: 'utf8' })
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
  ;({ openNearest } = await import(pathToFileURL(`${HEAD}/nearest.mjs`).href))
  addon = createRequire(import.meta.url)(`${HEAD}/nearest.node`) as Addon
})
afterEach(() => vi.unstubAllEnvs())

const load = (device: 'cpu' | 'cuda' | 'cuda:1') =>
  FlowModel.load({ ...TINY, device, precision: device === 'cpu' ? 'auto' : 'fp16' })
const [first, second] = [noiseFrame(160, 112, 1), noiseFrame(160, 112, 2)]
const [ROWS, COLUMNS, DIM] = [7, 10, 64]
const random = randomFrom(3)
const LABELS = Uint8Array.from({ length: ROWS * COLUMNS }, () => random.integer(0, 3))
const labelled = (model: FlowModel, labels = LABELS) =>
  model.createTensor([labels.length / COLUMNS, COLUMNS], 'uint8').copyFrom(labels)

/** The cosine of each patch with each known one. */
function cosines(features: Float32Array, known: Float32Array, dim = DIM): number[][] {
  const dot = (a: Float32Array, b: Float32Array) => a.reduce((sum, value, c) => sum + value * b[c]!, 0)
  const patches = (of: Float32Array) =>
    Array.from({ length: of.length / dim }, (_, i) => of.subarray(i * dim, (i + 1) * dim))
  return patches(features).map((own) =>
    patches(known).map((other) => dot(own, other) / Math.sqrt(dot(own, own) * dot(other, other))),
  )
}

/** Fails if a label is not that of the known patch of the largest cosine, up to rounding. */
function expectNearest(labels: Uint8Array, expected: readonly (readonly number[])[]): void {
  expect(labels).toHaveLength(expected.length)
  for (const [patch, all] of expected.entries()) {
    const best = Math.max(...all)
    const right = all.flatMap((cosine, i) => (cosine > best - 1e-5 ? [LABELS[i]!] : []))
    expect(right, `patch ${patch}`).toContain(labels[patch])
  }
}

describe.each(['cpu', 'cuda'] as const)('the head, on %s', (device) => {
  test('gives each patch the label that it has by hand, from read()', async () => {
    await using model = await load(device)
    const nearest = openNearest(model)
    using known = await model.features(first)
    using knownLabels = await labelled(model)
    const knownFeatures = await known.read()
    for (const frame of [first, second]) {
      using map = await model.features(frame)
      using labels = nearest(map.tensor, known.tensor, knownLabels)
      expect(labels).toMatchObject({ shape: [ROWS, COLUMNS], dtype: 'uint8', device: map.tensor.device })
      const values = await labels.toHost()
      expectNearest(values, cosines(await map.read(), knownFeatures))
      if (frame === first) expect(values).toEqual(LABELS)
      else expect(new Set(values).size).toBe(4)
    }
  })

  test('takes parts of features, and numbers of channels that are no multiple of 8', async () => {
    await using model = await load(device)
    const nearest = openNearest(model)
    using map = await model.features(second)
    using known = await model.features(first)
    using knownLabels = await labelled(model)
    const whole = await nearest(map.tensor, known.tensor, knownLabels).toHost()
    const rows = await nearest(map.tensor.slice(2, 5), known.tensor, knownLabels).toHost()
    expect(rows).toEqual(whole.slice(2 * COLUMNS, 5 * COLUMNS))
    // All channels but the last are alike.
    const pair = (...last: readonly number[]) => {
      const values = last.flatMap((value) => [...Array<number>(10).fill(1), value])
      return model.createTensor([1, 2, 11]).copyFrom(Float32Array.from(values))
    }
    using own = await pair(2, -2)
    using other = await pair(-2, 2)
    using two = await model.createTensor([1, 2], 'uint8').copyFrom(Uint8Array.of(5, 9))
    expect([...(await nearest(own, other, two).toHost())]).toEqual([9, 5])
  })

  test('says what is wrong, and works on', async () => {
    await using model = await load(device)
    await using elsewhere = await load(device === 'cpu' ? 'cuda' : 'cpu')
    const nearest = openNearest(model)
    using map = await model.features(second)
    using known = await model.features(first)
    using knownLabels = await labelled(model)
    using there = await elsewhere.features(first)
    const label = () => nearest(map.tensor, known.tensor, knownLabels).toHost()
    const expected = await label()
    const make = (shape: readonly number[], type: 'float32' | 'uint8') =>
      model.createTensor(shape, type) as never
    for (const [call, said] of [
      [() => nearest(make([7, 10, 32], 'float32'), known.tensor, knownLabels), 'those of one model'],
      [() => nearest(make([7, 10, 64], 'uint8'), known.tensor, knownLabels), 'those of one model'],
      [() => nearest(map.tensor, make([7, 10], 'float32'), knownLabels), 'those of one model'],
      [() => nearest(map.tensor, known.tensor, make([10, 7], 'uint8')), 'one uint8 for each known patch'],
      [() => nearest(map.tensor, known.tensor, make([7, 10], 'float32')), 'one uint8 for each known patch'],
      [() => nearest(map.tensor, there.tensor, knownLabels), 'not all on the host, or on the GPU'],
      [() => addon.nearest(map.tensor.toDLPack(), {} as never, {} as never), 'is none of toDLPack()'],
    ] as const)
      expect(call).toThrow(said)
    const capsule = map.tensor.toDLPack()
    const labels = addon.nearest(capsule, known.tensor.toDLPack(), knownLabels.toDLPack())
    expect(() => addon.nearest(capsule, known.tensor.toDLPack(), knownLabels.toDLPack())).toThrow(
      'taken before',
    )
    expect(model.fromDLPack(labels).shape).toEqual([ROWS, COLUMNS])
    expect(await label()).toEqual(expected)
  })
})

describe('on a GPU, the head', () => {
  test('moves no byte of features: only the labels cross the bus, where they are read', async () => {
    await using model = await load('cuda')
    const nearest = openNearest(model)
    const crossed = ({ what }: HostEvent) => what === 'to-host' || what === 'to-device'
    using stream = model.stream({ features: true, output: { on: 'device' } })
    const push = async (frame: typeof first) => {
      using data = model.createTensor([frame.data.length], 'uint8')
      await data.copyFrom(frame.data)
      return traced(async () => (await stream.push({ ...frame, format: 'rgb', data }))!)
    }
    using known = (await push(first)).result.features!
    using knownLabels = await labelled(model)
    // The pass that gives the flow and the features leaves both on the GPU, and so does the head.
    const { result, events } = await push(second)
    expect(events.filter(crossed)).toEqual([])
    expect(result.flow).toMatchObject({ device: 'cuda:0', shape: [2, 112, 160] })
    const head = await traced(() => nearest(result.features!.tensor, known.tensor, knownLabels))
    expect(head.events.filter(crossed)).toEqual([])
    const read = await traced(() => head.result.toHost())
    expect(read.events.filter(crossed)).toMatchObject([{ what: 'to-host', bytes: ROWS * COLUMNS }])
    using map = await model.features(second)
    expect(await nearest(map.tensor, known.tensor, knownLabels).toHost()).toEqual(read.result)
  })

  test.each(['late', '1', '2', '3'])('needs nobody to wait, with work in the order %s', async (order) => {
    await using model = await load('cuda')
    const nearest = openNearest(model)
    const known = await model.features(first)
    const knownLabels = await labelled(model)
    const knownFeatures = await known.read()
    const maps = [await model.features(second), await model.features(first), await model.features(second)]
    const expected = await Promise.all(maps.map(async (map) => cosines(await map.read(), knownFeatures)))
    vi.stubEnv('EMULATOR_STREAMS', order)
    // All inputs are disposed before the kernels run, and others take memory meanwhile.
    const labels = maps.map((map) => nearest(map.tensor, known.tensor, knownLabels))
    for (const map of [known, ...maps]) {
      map.tensor.dispose()
      map.dispose()
    }
    knownLabels.dispose()
    using _ = await labelled(
      model,
      LABELS.map((label) => 3 - label),
    )
    for (let i = 0; i < 4; i++) (await model.features(noiseFrame(160, 112, 10 + i))).dispose()
    for (const [i, tensor] of labels.entries()) expectNearest(await tensor.toHost(), expected[i]!)
  })

  test('queues its kernel and returns', async () => {
    await using model = await load('cuda')
    const nearest = openNearest(model)
    using known = await model.features(first)
    using other = await model.features(second)
    using knownLabels = await labelled(model)
    const after = await nearest(other.tensor, known.tensor, knownLabels).toHost()
    using copy = await model.createTensor([ROWS, COLUMNS, DIM]).copyFrom(await known.read())
    vi.stubEnv('EMULATOR_STREAMS', 'late')
    using labels = nearest(copy, known.tensor, knownLabels)
    // Nothing orders this copy and the kernel. If the call had waited for the kernel, the labels would be those of before.
    await copy.copyFrom(other.tensor)
    expect(after).not.toEqual(LABELS)
    expect(await labels.toHost()).toEqual(after)
  })

  test('lets go of its inputs, and uses the memory of its labels again', async () => {
    await using model = await load('cuda')
    const nearest = openNearest(model)
    using known = await model.features(first)
    const frame = async () => {
      using map = await model.features(second)
      using features = map.tensor
      using knownLabels = await labelled(model)
      using labels = nearest(features, known.tensor, knownLabels)
      await labels.toHost()
    }
    for (let i = 0; i < 5; i++) await frame()
    const { onDevice } = await traced(async () => {
      for (let i = 0; i < 12; i++) await frame()
    })
    // Inputs are let go soon after their kernel, and not at once.
    expect(onDevice.filter(({ what }) => what === 'device-alloc').length).toBeLessThan(5)
  })

  test('is refused on a GPU that was not opened', async () => {
    addon.openGpu(0, readFileSync(`${HEAD}/nearest.ptx`, 'utf8'))
    vi.stubEnv('EMULATOR_DEVICES', '2')
    await using model = await load('cuda:1')
    using map = await model.features(first)
    using knownLabels = await labelled(model)
    expect(() => openNearest(model)(map.tensor, map.tensor, knownLabels)).toThrow('another GPU')
    const capsule = () => map.tensor.toDLPack()
    expect(() => addon.nearest(capsule(), capsule(), knownLabels.toDLPack())).toThrow(
      'the GPU that was opened',
    )
  })
})

test('the text of the kernel computes what its source says', () => {
  const [patches, known, dim, step, blocks] = [19, 13, 40, 48, 3]
  const features = (count: number) => Float32Array.from({ length: count * step }, () => random.next() - 0.5)
  const [own, other] = [features(patches), features(known)]
  const knownLabels = Uint8Array.from({ length: known }, (_, i) => 100 + i)
  const memory = new GlobalMemory(1 << 16)
  const labels = memory.place(new Uint8Array(8 * blocks).fill(255))
  const parameters = new DataView(new ArrayBuffer(48)) // nearest.h
  for (const [i, pointer] of [
    memory.place(own),
    memory.place(other),
    memory.place(knownLabels),
    labels,
  ].entries())
    parameters.setBigUint64(8 * i, pointer, true)
  for (const [i, number] of [patches, known, dim, step].entries())
    parameters.setInt32(32 + 4 * i, number, true)
  const text = readFileSync(example('native-head/nearest.ptx'), 'utf8')
  runPtx(text, parameters, blocks, 256, memory)

  const tight = (all: Float32Array) => all.filter((_, i) => i % step < dim)
  const expected = cosines(tight(own), tight(other), dim).map((all) => 100 + all.indexOf(Math.max(...all)))
  expect(new Set(expected).size).toBeGreaterThan(4)
  expect([...memory.bytes(labels, 8 * blocks)]).toEqual([...expected, 255, 255, 255, 255, 255])
})

test('a second thread is refused', async () => {
  const script = `try { require(${JSON.stringify(`${HEAD}/nearest.node`)}) }
    catch ({ message }) { require('node:worker_threads').parentPort.postMessage(message) }`
  const worker = new Worker(script, { eval: true })
  const message = await new Promise((resolve) => {
    worker.once('message', resolve)
    worker.once('exit', () => resolve('was not refused'))
  })
  expect(message).toBe('nearest.node: was loaded by another thread before, and serves one')
})

describe('the program', () => {
  const program = (...args: readonly string[]) => runExample(`${HEAD}/segment.mjs`, args)
  const [WIDTH, HEIGHT] = [160, 112]
  /** Ground, and a ball that goes 10 px to the right and 4 px down from picture to picture. */
  const [ground, ball] = [texture(1, [60, 90, 60], 30), texture(2, [210, 120, 60], 60)]
  const ballAt = (frame: number) => ({ x: 50 + 10 * frame, y: 50 + 4 * frame })
  const paths = [0, 1, 2].map((frame) => at(`${frame}.png`))
  beforeAll(async () => {
    for (const [frame, path] of paths.entries()) {
      const data = new Uint8Array(3 * WIDTH * HEIGHT)
      const color = new Float32Array(3)
      const { x: u, y: v } = ballAt(frame)
      for (let y = 0, i = 0; y < HEIGHT; y++)
        for (let x = 0; x < WIDTH; x++, i += 3) {
          if (Math.hypot(x - u, y - v) < 26) ball(x - u + 100, y - v + 100, color)
          else ground(x, y, color)
          data.set(color, i)
        }
      await savePng(path, { data, width: WIDTH, height: HEIGHT })
    }
  })

  test('shows where a thing is and how it moves', async () => {
    const args = [...paths, '--thing', '50,50,26', '--device', 'cpu', '-o', at('out.png')]
    const { code, out, err } = await program(...args)
    expect({ code, err }).toEqual({ code: 0, err: '' })
    const lines = out.trim().split('\n')
    expect(lines).toHaveLength(4)
    expect(lines[0]).toMatch(/0\.png {2}1: 1[12]\.\d %$/)
    for (const line of lines.slice(1, 3)) {
      const [share, x, y] = /1: (\S+) %, by (\S+),(\S+) px$/.exec(line)!.slice(1).map(Number)
      expect(Math.abs(share! - 11.8)).toBeLessThan(3)
      expect(Math.hypot(x! - 10, y! - 4)).toBeLessThan(0.5)
    }
    // The ball is red, and the ground as it was.
    const picture = await loadImage(at('out.png'))
    expect(picture).toMatchObject({ width: 3 * WIDTH, height: HEIGHT })
    for (const [frame, path] of paths.entries()) {
      const { x: u, y: v } = ballAt(frame)
      const { data } = await loadImage(path)
      const red = { near: 0, far: 0 }
      const all = { near: 0, far: 0 }
      for (let y = 0; y < HEIGHT; y++)
        for (let x = 0; x < WIDTH; x++) {
          const pixel = [...data.subarray(3 * (y * WIDTH + x), 3 * (y * WIDTH + x + 1))]
          const to = 3 * (y * picture.width + frame * WIDTH + x)
          const drawn = [...picture.data.subarray(to, to + 3)]
          const isRed = String(drawn) !== String(pixel)
          if (isRed)
            expect(drawn).toEqual([255, 70, 60].map((color, c) => Math.floor(0.4 * pixel[c]! + 0.6 * color)))
          const distance = Math.hypot(x - u, y - v)
          const where = distance < 20 ? 'near' : distance > 38 ? 'far' : undefined
          if (where === undefined) continue
          all[where] += 1
          red[where] += Number(isRed)
        }
      expect(red.near).toBeGreaterThan(0.6 * all.near)
      expect(red.far).toBeLessThan(0.02 * all.far)
    }
  })

  test('tells the same on a GPU', async () => {
    const things = ['--thing', '50,50,26', '--thing', '120,80,30', '--thing', '20,90,20']
    const args = [...paths, ...things, '--backbone', TINY.backbone, '--head', TINY.head, '-o', at('out.png')]
    const run = async (device: string) => {
      const { code, out, err } = await program(...args, '--device', device)
      expect({ code, err }).toEqual({ code: 0, err: '' })
      const values = [...out.matchAll(/(-?[\d.]+)(?= %|,| px)/g)].map(([text]) => Number(text))
      return { values, picture: await loadImage(at('out.png')) }
    }
    const [cpu, gpu] = [await run('cpu'), await run('cuda')]
    expect(gpu.values).toHaveLength(3 * 3 + 2 * 3 * 2)
    for (const [i, value] of gpu.values.entries()) expect(Math.abs(value - cpu.values[i]!)).toBeLessThan(3)
    const different = gpu.picture.data.filter((value, i) => value !== cpu.picture.data[i]).length
    expect(different).toBeLessThan(0.05 * gpu.picture.data.length)
  })

  test('says what is wrong', async () => {
    await savePng(at('small.png'), { data: new Uint8Array(3 * 16), width: 4, height: 4 })
    const rest = ['--thing', '1,1,5', '-o', at('x.png')]
    const [path = ''] = paths
    const outcomes = await Promise.all([
      program(path, '-o', at('x.png')),
      program(path, ...rest, '--thing', '160,1,5'),
      program(path, ...rest, '--thing', '1,1'),
      program(path, at('small.png'), ...rest),
      program(path, ...rest, '--device', 'tpu'),
      program(at('none.png'), ...rest),
    ])
    expect(outcomes.map(({ code, err }) => ({ code, err }))).toEqual([
      { code: 2, err: expect.stringContaining('give pictures, 1 to 8 things by --thing') },
      { code: 2, err: expect.stringContaining('--thing: must be a number from 0 to 159') },
      { code: 2, err: expect.stringContaining("--thing: must be x,y,radius, not '1,1'") },
      { code: 2, err: expect.stringContaining('small.png: is not of the size of') },
      { code: 2, err: expect.stringContaining("--device: must be auto, cpu or cuda, not 'tpu'") },
      { code: 1, err: expect.stringContaining('none.png') },
    ])
  })

  test('says how to build the addon where it is not built', async () => {
    rmSync(at('examples/unbuilt'), { recursive: true, force: true })
    cpSync(HEAD, at('examples/unbuilt'), { recursive: true })
    rmSync(at('examples/unbuilt/nearest.node'))
    const args = [paths[0]!, '--thing', '1,1,5', '--device', 'cpu', '-o', at('x.png')]
    const { code, err } = await runExample(at('examples/unbuilt/segment.mjs'), args)
    expect(code).toBe(1)
    expect(err).toContain('nearest.node is not there: compile nearest.c as README.md says')
  })
})
