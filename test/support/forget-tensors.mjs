// Makes tensors on the emulated GPU, and disposes or forgets them. Prints how many blocks of device memory were allocated and freed
// meanwhile, and how many that were forgotten are not used again.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { collectUntil, loadTiny, plainFrame } from './tiny.mjs'

const EMULATED = new URL('../../build/tests-host/test/emulator/libcuda_emu.so', import.meta.url)
process.env.DINOV3_FLOW_CUDA_DRIVER ??= EMULATED.pathname

const folder = mkdtempSync(join(tmpdir(), 'dinov3-flow-'))
const model = await loadTiny({ device: 'cuda', size: [64, 64] })
const frame = plainFrame(64)
model.featuresSync(frame).dispose() // buffers of the engine

/** Counts the events of the driver so far. */
function count(path) {
  const lines = readFileSync(path, { encoding: 'utf8', flag: 'a+' }).split('\n')
  const of = (what) => lines.filter((line) => line.startsWith(`${what} `)).length
  return { made: of('device-alloc'), freed: of('device-free') }
}

async function counted(name, work) {
  const path = join(folder, name)
  process.env.EMULATOR_TRACE = path
  await work(path)
  process.env.EMULATOR_TRACE = ''
  return count(path)
}

/** Makes a tensor and a slice of it, forgets both, and returns the address. */
function make() {
  const tensor = model.createTensor([200])
  tensor.slice(3)
  return tensor.pointer
}

const disposed = await counted('disposed', () => {
  for (let i = 0; i < 10_000; i++) model.createTensor([100]).dispose()
  model.featuresSync(frame).dispose() // comes after the work that frees
})
const addresses = new Set()
for (let i = 0; i < 200; i++) addresses.add(make())
const kept = []
// Until tensors that are kept have the memory of all those that were forgotten.
await collectUntil(() => {
  kept.push(model.createTensor([200]))
  addresses.delete(kept.at(-1).pointer)
  return addresses.size === 0
})
const features = await counted('features', async () => {
  for (let i = 0; i < 500; i++) {
    const map = model.featuresSync(frame)
    const { tensor } = map
    map.dispose()
    tensor.toHostSync()
    tensor.dispose()
  }
})
await model.dispose()
rmSync(folder, { recursive: true })
console.log(JSON.stringify({ disposed, forgotten: addresses.size, features }))
