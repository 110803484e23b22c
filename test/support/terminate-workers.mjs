// Terminates worker threads in the middle of their work, one after the other and several at once.
import { Worker } from 'node:worker_threads'
import { loadTiny, plainFrame } from './tiny.mjs'

async function startAndTerminate(round) {
  const workerData = round % 4 === 3 ? 'loading' : 'running'
  const worker = new Worker(new URL('busy-worker.mjs', import.meta.url), { workerData })
  await new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject))
  await new Promise((resolve) => setTimeout(resolve, round % 5))
  await worker.terminate()
}

const model = await loadTiny()
for (let round = 0; round < 20; round++) await startAndTerminate(round)
await Promise.all(Array.from({ length: 4 }, (_, round) => startAndTerminate(round)))

// the main thread's own model is as it was
const { width } = await model.flow(plainFrame(64), plainFrame(64))
console.log(`survived ${width}`)
