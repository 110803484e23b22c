// A worker thread with a model and a stream whose frames are always in flight. `workerData` says how it ends:
// 'run' (never, by itself), 'exit' (process.exit), 'return' (its last frames are in flight when its script is at its end).
import { parentPort, workerData } from 'node:worker_threads'
import { loadTiny, noise } from './tiny.mjs'

const frames = [1, 2, 3, 4].map((seed) => noise(96, 96, seed))
const model = await loadTiny({ size: 'native', threads: 1 })
const stream = model.stream({ backward: true, reuse: true })

const pushes = frames.map((frame) => stream.push(frame))
parentPort.postMessage('streaming')
if (workerData === 'exit') {
  await stream.push(frames[0])
  stream.push(frames[1])
  stream.push(frames[2])
  process.exit(5)
}
if (workerData === 'return') pushes.at(-1).then(() => parentPort.postMessage('computed'))
for (let i = 0; workerData === 'run'; i++) {
  await stream.ready()
  stream.push(frames[i % 4])
}
