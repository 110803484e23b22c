// Makes fields and frames on the emulated GPU and forgets them, in the way that the argument names. Prints how many blocks of
// page-locked memory were allocated and freed meanwhile.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { isMainThread, parentPort, Worker } from 'node:worker_threads'
import { collectUntil, loadTiny, until } from './tiny.mjs'

const [width, height] = [208, 16]
/** Matches the copy of a field or a frame by its number of bytes, which nothing else has. */
const BLOCK = new RegExp(` (${8 * width * height}|${3 * width * height})$`)
/** Bytes of the block that an engine has for itself (native/cuda/excess.h). */
const OWN = 4096
const load = () => loadTiny({ device: 'cuda', precision: 'fp32', size: 'native' })

/** A field and two frames with which flow was computed. */
async function make(model) {
  const frames = [0, 1].map((i) => model.createFrame({ width, height }).data.fill(50 * i))
  const [a, b] = frames.map((data) => ({ data, width, height }))
  return { a, b, field: await model.flow(a, b, { into: model.createField(width, height) }) }
}

async function collect() {
  for (let i = 0; i < 10; i++) {
    globalThis.gc()
    await sleep(10)
  }
}

/** Writes to the fields in a function of its own, so that no reference to them stays on the caller's stack. */
function use(fields) {
  for (const { data } of fields) data.fill(1)
}

/** Counts the events that the emulated driver has noted so far. `late` counts accesses to memory after it was freed. */
function count(path) {
  const alive = new Set()
  const counted = { made: 0, freed: 0, late: 0 }
  for (const line of readFileSync(path, 'utf8').trim().split('\n')) {
    const [what, address, bytes] = line.split(' ')
    switch (what) {
      case 'alloc':
        if (Number(bytes) === OWN) break
        counted.made++
        alive.add(address)
        break
      case 'free':
        if (alive.delete(address)) counted.freed++
        break
      case 'device-alloc':
      case 'device-free':
        break
      default:
        if (BLOCK.test(line) && !alive.has(address)) counted.late++
    }
  }
  return counted
}

const ways = {
  async live(path) {
    const model = await load()
    process.env.EMULATOR_TRACE = path
    for (let i = 0; i < 200; i++) model.createField(width, height)
    await collectUntil(() => count(path).freed === 200)
    const counted = count(path)
    await model.dispose()
    return counted
  },

  async disposed(path) {
    const model = await load()
    process.env.EMULATOR_TRACE = path
    const fields = Array.from({ length: 20 }, () => model.createField(width, height))
    await model.dispose()
    await collect()
    if (count(path).freed !== 0) throw new Error('freed although it is in use')
    use(fields.splice(0))
    await collectUntil(() => count(path).freed === 20)
    return count(path)
  },

  async pressure(path) {
    const model = await load()
    process.env.EMULATOR_TRACE = path
    for (let i = 0; i < 200; i++) {
      model.createField(1000, 1000)
      if (i % 10 === 9) await sleep(1)
    }
    await until(() => count(path).freed > 100)
    return count(path)
  },

  async workers(path) {
    process.env.EMULATOR_TRACE = path
    for (let round = 0; round < 8; round++) {
      const worker = new Worker(new URL(import.meta.url), { env: process.env })
      await new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject))
      await sleep(3 * round)
      await worker.terminate()
    }
    await until(() => count(path).freed === count(path).made)
    return count(path)
  },
}

if (isMainThread) {
  const folder = mkdtempSync(join(tmpdir(), 'dinov3-flow-'))
  try {
    console.log(JSON.stringify(await ways[process.argv[2]](join(folder, 'trace'))))
  } finally {
    rmSync(folder, { recursive: true })
  }
} else {
  const model = await load()
  const other = await load() // the thread that frees memory does not know this model's calls
  const { a, b, field } = await make(model)
  for (let i = 0; i < 50; i++) other.flow(a, b, { into: field }).catch(() => {})
  parentPort.postMessage('started')
}
