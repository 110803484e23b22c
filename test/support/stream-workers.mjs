// Eight worker threads, each with a model and a stream, and a stream of the main thread.
//   node test/support/stream-workers.mjs exit|return|terminate|main [seed]
import { setTimeout as sleep } from 'node:timers/promises'
import { Worker } from 'node:worker_threads'
import { randomFrom } from './random.mjs'
import { loadTiny, noise } from './tiny.mjs'

const WORKERS = 8

/** Starts a worker thread. `outcome` is its exit code and its last message. */
function start(workerData) {
  const worker = new Worker(new URL('stream-worker.mjs', import.meta.url), { workerData })
  let last
  worker.on('message', (message) => (last = message))
  const outcome = new Promise((resolve) => worker.once('exit', (code) => resolve(`${code} ${last}`)))
  const streaming = new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject))
  return { worker, outcome, streaming }
}

const startAll = (workerData) => Array.from({ length: WORKERS }, () => start(workerData))
const outcomes = async (workers) =>
  [...new Set(await Promise.all(workers.map(({ outcome }) => outcome)))].join(', ')

const model = await loadTiny({ size: 'native', threads: 1 })
const stream = model.stream()
const frames = [1, 2].map((seed) => noise(96, 96, seed))

const ways = {
  exit: () => outcomes(startAll('exit')),
  return: () => outcomes(startAll('return')),
  async terminate() {
    const random = randomFrom(Number(process.argv[3] ?? 1))
    const terminate = async ({ worker, streaming }, i) => {
      if (i % 4 > 0) await streaming // else it may be loading
      await sleep(random.integer(0, 30))
      await worker.terminate()
    }
    for (let round = 0; round < 2; round++) await Promise.all(startAll('run').map(terminate))
    return 'terminated'
  },
  async main() {
    await Promise.all(startAll('run').map(({ streaming }) => streaming))
    await stream.push(frames[0])
    stream.push(frames[1]).then(() => process.exit(7))
    for (;;) {
      await stream.ready()
      stream.push(frames[0])
    }
  },
}

const outcome = await ways[process.argv[2]]()
// The main thread's own stream is as it was.
await stream.push(frames[0])
const { flow } = await stream.push(frames[1])
console.log(`${outcome}; survived ${flow.width}`)
