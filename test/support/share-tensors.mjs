// A decoder in a process of its own, on the emulated GPU: makes the tensors that it is told to, shares them, and says what is in them.
import { loadTiny } from './tiny.mjs'

const EMULATED = new URL('../../build/tests-host/test/emulator/libcuda_emu.so', import.meta.url)
process.env.DINOV3_FLOW_CUDA_DRIVER ??= EMULATED.pathname

const model = await loadTiny({ device: 'cuda', size: [64, 64] })
const tensors = []
const jobs = {
  make({ shape, dtype, values }) {
    const tensor = model.createTensor(shape, dtype)
    if (values !== undefined)
      tensor.copyFromSync(dtype === 'uint8' ? Uint8Array.from(values) : Float32Array.from(values))
    tensors.push(tensor)
    return tensor.share()
  },
  slice: ({ index, begin, end }) => tensors[index].slice(begin, end).share(),
  read: ({ index }) => [...tensors[index].toHostSync()],
  dispose({ index }) {
    tensors[index].dispose()
    model.createTensor([1]).toHostSync() // comes after the work that frees
    return true
  },
}
process.on('message', ({ job, ...more }) => process.send(jobs[job](more)))
process.send('ready')
