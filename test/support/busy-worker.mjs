// A worker thread with calls queued and running, and a feature map.
import { parentPort, workerData } from 'node:worker_threads'
import { loadTiny, plainFrame } from './tiny.mjs'

const frame = plainFrame(320)
if (workerData === 'loading') {
  loadTiny()
  parentPort.postMessage('started')
} else {
  const model = await loadTiny()
  const features = await model.features(frame)
  for (let i = 0; i < 20; i++) model.flow(frame, frame)
  model.flowFromFeatures(features, features)
  features.read()
  parentPort.postMessage('started')
}
