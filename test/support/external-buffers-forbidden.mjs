// Computes a flow into a field and from frames that the model makes, reads the tensor of a feature map, and exchanges tensors with
// another native module, where the runtime forbids buffers over memory of others.
//   node external-buffers-forbidden.mjs STANDIN   what forbids them, linked with the addon
import { constants } from 'node:os'

const { dlopen } = process
process.dlopen = (module, file, ...flags) =>
  file.endsWith('dinov3_flow.node')
    ? dlopen(module, process.argv[2], constants.dlopen.RTLD_NOW | constants.dlopen.RTLD_DEEPBIND)
    : dlopen(module, file, ...flags)

const { loadTiny, noise } = await import('./tiny.mjs')
const model = await loadTiny({ device: 'cuda' })
const frames = [noise(160, 112, 1), noise(160, 112, 2)].map((frame) => {
  const made = model.createFrame({ width: frame.width, height: frame.height, format: 'rgb' })
  made.data.set(frame.data)
  return made
})
const { data } = await model.flow(noise(160, 112, 1), noise(160, 112, 2))
const into = model.createField(160, 112)
await model.flow(...frames, { into })
await model.dispose()
const { engine } = model.info
const cpu = await loadTiny({ device: 'cpu' })
const map = await cpu.features(noise(160, 112, 1))
const values = await map.tensor.toHost()
const { native, bytes } = await import('./native-module.mjs')
const given = native.take(map.tensor.toDLPack())
const bytesOfValues = new Uint8Array(values.buffer)
const borrowed = cpu.fromDLPack(native.make({ ...bytes(3), bytes: Uint8Array.of(1, 2, 3) }))
const dlpack = {
  given: bytesOfValues.subarray(0, 1000).every((byte, i) => native.byteAt(given.handle, i) === byte),
  data: borrowed.data,
  taken: [...(await borrowed.toHost())],
}
native.letGo(given.handle, 'here')
const features = { data: map.tensor.data, same: map.readSync().every((value, i) => value === values[i]) }
console.log(
  JSON.stringify({ engine, same: data.every((value, i) => value === into.data[i]), features, dlpack }),
)
