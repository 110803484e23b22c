import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import type { PointerFrame } from '../../lib/index.js'
import { flowError, sameBits } from '../support/compare.js'
import { useEmulator } from '../support/emulator.js'
import { loadTiny, tinyFrames } from '../support/fixtures.js'
import { traced } from '../support/host-trace.js'

/** The addon of test/support/foreign-memory.cpp. */
interface Foreign {
  allocate(bytes: number, device: number): bigint
  release(address: bigint): void
  write(address: bigint, bytes: Uint8Array): void
  read(address: bigint, bytes: Uint8Array): void
}

useEmulator()
const [a, b] = await tinyFrames()
const shape = { width: a.width, height: a.height, format: 'rgb' } as const
const load = () => loadTiny({ device: 'cuda', precision: 'fp16' })
let foreign: Foreign

beforeAll(() => {
  const folder = mkdtempSync(join(tmpdir(), 'dinov3-flow-'))
  try {
    const require = createRequire(import.meta.url)
    const { include_dir } = require('node-api-headers') as { readonly include_dir: string }
    const file = join(folder, 'foreign-memory.node')
    const source = fileURLToPath(new URL('../support/foreign-memory.cpp', import.meta.url))
    const args = ['-std=c++20', '-shared', '-fPIC', '-I', include_dir, '-o', file, source]
    const compiled = spawnSync(process.env['CXX'] ?? 'c++', args, { encoding: 'utf8' })
    expect(compiled.stderr).toBe('')
    foreign = require(file) as Foreign
  } finally {
    rmSync(folder, { recursive: true })
  }
})

afterEach(() => vi.unstubAllEnvs())

/** Memory of another module with these bytes. */
function placed(bytes: Uint8Array, before = 0): bigint {
  const address = foreign.allocate(before + bytes.length, 0) + BigInt(before)
  foreign.write(address, bytes)
  return address
}

describe('a frame in memory of another module', () => {
  it('is read where it lies, from any address, of any format', async () => {
    await using model = await load()
    const expected = await model.flow(a, b)
    const first = { ...shape, pointer: placed(a.data) }
    const second = { ...shape, pointer: placed(b.data, 5) }
    for (let round = 0; round < 3; round++) {
      const { result, events } = await traced(() => model.flow(first, second))
      expect(events.filter(({ what }) => what === 'to-device')).toEqual([])
      expect(sameBits(result.data, expected.data)).toBe(true)
    }
    expect(sameBits(model.flowSync(first, second).data, expected.data)).toBe(true)
    const nv12 = { width: 160, height: 74, format: 'nv12' } as const
    const bytes = a.data.slice(0, 160 * 111)
    const features = await model.features({ ...nv12, pointer: placed(bytes) })
    expect(
      sameBits(await features.read(), await (await model.features({ ...nv12, data: bytes })).read()),
    ).toBe(true)
    const padded = { ...shape, width: 77, stride: 3 * a.width }
    const part = await model.features({ ...padded, pointer: first.pointer })
    expect(
      sameBits(await part.read(), await (await model.features({ ...padded, data: a.data })).read()),
    ).toBe(true)
  })

  it('goes through a stream', async () => {
    await using model = await load()
    const expected = await model.flow(a, b)
    using stream = model.stream()
    await stream.push({ ...shape, pointer: placed(a.data) })
    const result = await stream.push({ ...shape, pointer: placed(b.data) })
    expect(sameBits(result!.flow!.data, expected.data)).toBe(true)
  })

  it('is refused where the model cannot read it, and the model works on', async () => {
    await using model = await load()
    await using cpu = await loadTiny()
    const expected = await model.flow(a, b)
    const freed = placed(a.data)
    foreign.release(freed)
    vi.stubEnv('EMULATOR_DEVICES', '2')
    const elsewhere = foreign.allocate(a.data.length, 1)
    using host = model.createTensor([a.data.length + 1000], 'uint8', { on: 'host' })
    const short = placed(a.data.subarray(1))
    const good = placed(a.data)
    for (const [pointer, said] of [
      [freed, 'freed'],
      [4096n, 'never allocated'],
      [elsewhere, 'GPU 1'],
      [short, `${a.data.length - 1} bytes`],
      [good + 1n, `${a.data.length} are needed`],
    ] as const) {
      await expect(model.flow({ ...shape, pointer }, b)).rejects.toThrow(
        flowError('ERR_ARGUMENT', 'pointer', said),
      )
      expect(() => model.featuresSync({ ...shape, pointer })).toThrow(flowError('ERR_ARGUMENT', said))
      expect(sameBits((await model.flow(a, b)).data, expected.data)).toBe(true)
    }
    await expect(cpu.flow({ ...shape, pointer: good }, b)).rejects.toThrow(flowError('ERR_ARGUMENT', 'CPU'))
    const own = await model.features({ ...shape, pointer: host.pointer })
    expect(own.dim).toBe(64) // page-locked memory of a model is known
    for (const [frame, said] of [
      [{ ...shape, pointer: 0n }, 'address'],
      [{ ...shape, pointer: -1n }, 'address'],
      [{ ...shape, pointer: 2n ** 64n }, 'address'],
      [{ ...shape, pointer: 4096 }, 'bigint'],
      [{ ...shape, pointer: undefined }, 'bigint'],
      [{ ...shape, pointer: good, data: a.data }, 'one of them'],
      [{ ...shape, pointer: good, format: undefined }, 'format'],
      [{ ...shape, pointer: good, stride: 3 }, 'stride'],
      [{ ...shape, pointer: good, planes: [] }, 'planes'],
    ] as const)
      expect(() => model.featuresSync(frame as unknown as PointerFrame)).toThrow(flowError('ERR_FRAME', said))
  })
})

describe('a tensor over memory of another module', () => {
  it('takes results, and copies', async () => {
    await using model = await load()
    const expected = await model.flow(a, b)
    const bytes = new Uint8Array(8 * a.width * a.height)
    const pointer = placed(bytes)
    using into = model.createTensor([2, a.height, a.width], 'float32', { pointer })
    expect(into).toMatchObject({ device: 'cuda:0', pointer })
    const { events } = await traced(() => model.flow(a, b, { into }))
    expect(events.filter(({ what }) => what === 'to-host')).toEqual([])
    foreign.read(pointer, bytes)
    expect(sameBits(new Float32Array(bytes.buffer), expected.data)).toBe(true)
    using part = model.createTensor([5], 'float32', { pointer: pointer + 400n })
    expect(await part.toHost()).toEqual(expected.data.slice(100, 105))
    await part.copyFrom(Float32Array.of(1, 2, 3, 4, 5))
    foreign.read(pointer, bytes)
    expect([...new Float32Array(bytes.buffer, 400, 5)]).toEqual([1, 2, 3, 4, 5])
  })

  it('that was freed is refused by every call, and the model works on', async () => {
    await using model = await load()
    const pointer = placed(new Uint8Array(64))
    using tensor = model.createTensor([4], 'float32', { pointer })
    expect(await tensor.toHost()).toHaveLength(4)
    foreign.release(pointer)
    await expect(tensor.toHost()).rejects.toThrow(flowError('ERR_ARGUMENT', 'freed'))
    expect(() => tensor.copyFromSync(new Float32Array(4))).toThrow(flowError('ERR_ARGUMENT', 'freed'))
    await expect(model.flow(a, b, { output: [1, 2], into: tensor as never })).rejects.toThrow(
      flowError('ERR_ARGUMENT'),
    )
    expect((await model.flow(a, b)).width).toBe(160)
  })

  it('is not made where it cannot be', async () => {
    await using model = await load()
    await using cpu = await loadTiny()
    const pointer = placed(new Uint8Array(64))
    for (const [options, said] of [
      [{ pointer: pointer + 2n }, 'multiple of 4'],
      [{ pointer: pointer + 52n }, '12 bytes'],
      [{ pointer: 64n }, 'never allocated'],
      [{ pointer: 0n }, 'address'],
      [{ pointer: 64 as never }, 'bigint'],
      [{ pointer, data: new Float32Array(4) }, 'one of them'],
    ] as const)
      expect(() => model.createTensor([4], 'float32', options)).toThrow(
        flowError('ERR_ARGUMENT', 'pointer', said),
      )
    expect(() => cpu.createTensor([4], 'float32', { pointer })).toThrow(flowError('ERR_ARGUMENT', 'CPU'))
  })
})
