// A worker thread that ends, as `workerData` says, while tensors of both sides are in all states that they can be in.
//   { group, end }   end: 'terminate' (from outside), 'exit' (process.exit), 'return' (at the end of the script)
import { parentPort, workerData } from 'node:worker_threads'
import { bytes, native } from './native-module.mjs'
import { loadTiny, noise } from './tiny.mjs'

const { group, end } = workerData
const make = () => native.make({ ...bytes(3 * 96 * 96), group })
const model = await loadTiny({ size: 'native', threads: 1 })
const frame = (data) => ({ data, width: 96, height: 96 })

globalThis.kept = {
  unused: make(),
  tensor: model.fromDLPack(make()),
  data: model.fromDLPack(make()).data,
  again: model.fromDLPack(make()).toDLPack(),
  ours: model.createTensor([1000]).toDLPack(),
  shared: model.createTensor([8], 'uint8', { data: new Uint8Array(new SharedArrayBuffer(8)) }).toDLPack(),
  taken: native.take(model.fromDLPack(make()).toDLPack()).handle,
}
model.fromDLPack(make()).dispose()
native.letGo(globalThis.kept.taken, 'here')
const map = await model.features(noise(96, 96, 1))
globalThis.kept.features = map.tensor.toDLPack()

/** Calls in flight whose frames were given back. */
function flow() {
  const [a, b] = [model.fromDLPack(make()), model.fromDLPack(make())]
  const flow = model.flow(frame(a), frame(b))
  a.dispose()
  b.dispose()
  return flow
}
const flows = Array.from({ length: 8 }, flow)
parentPort.postMessage('busy')
if (end === 'exit') {
  const tensor = model.fromDLPack(make())
  const { handle } = native.take(tensor.toDLPack())
  tensor.dispose()
  const shared = native.take(globalThis.kept.shared).handle
  await flows[0]
  // The other thread gives its tensors back now, while this thread is ending.
  native.letGo(handle, 'elsewhere')
  native.letGo(shared, 'elsewhere')
  process.exit(5)
}
if (end === 'terminate') for (;;) await flow()
