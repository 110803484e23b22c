// Makes, takes, disposes and forgets tensors and capsules of both sides. Prints the counts of the other module, and the growth of memory.
//   node dlpack-leaks.mjs cpu | cuda COUNT   cuda is the emulated GPU, COUNT how many there are of each
import { collectUntil, loadTiny, plainFrame } from './tiny.mjs'
import { collectedMemory, growthOf } from './memory.mjs'
import { bytes, native } from './native-module.mjs'

const [device, count] = process.argv.slice(2)
if (device === 'cuda')
  process.env.DINOV3_FLOW_CUDA_DRIVER ??= new URL(
    '../../build/tests-host/test/emulator/libcuda_emu.so',
    import.meta.url,
  ).pathname
const model = await loadTiny({ device, size: [64, 64] })
const frame = plainFrame(64)
const SIDE = 64
const BYTES = SIDE * SIDE * 3
const theirs = { ...bytes(BYTES), ...(device === 'cuda' && { onGpu: true, deviceType: 2 }) }

/** Each does one of what is to leave nothing behind, after `i` others. */
const WORK = [
  function given(i) {
    const tensor = model.createTensor([BYTES], 'uint8')
    const { handle } = native.take(tensor.toDLPack())
    tensor.dispose()
    native.letGo(handle, i % 2 === 0 ? 'here' : 'elsewhere')
  },
  function givenAndForgotten() {
    const tensor = model.createTensor([BYTES], 'uint8')
    tensor.toDLPack()
    tensor.dispose()
  },
  function taken() {
    const tensor = model.fromDLPack(native.make({ ...theirs, group: 2 }))
    tensor.slice(1).dispose()
    tensor.dispose()
  },
  function takenAndForgotten() {
    model.fromDLPack(native.make({ ...theirs, group: 3 })).slice(1)
  },
  function madeAndForgotten() {
    native.make({ ...theirs, group: 4 })
  },
  function takenAndGiven(i) {
    const tensor = model.fromDLPack(native.make({ ...theirs, group: 5 }))
    const { handle } = native.take(tensor.toDLPack())
    tensor.dispose()
    native.letGo(handle, i % 2 === 0 ? 'here' : 'elsewhere')
  },
  function refused() {
    try {
      model.fromDLPack(native.make({ ...theirs, strides: [0], group: 6 }))
    } catch {
      // as it should be
    }
  },
]
const SAMPLES = 60
/** Until then the emulated driver keeps freed blocks for itself. */
const WARM_UP = 25
const PER_SAMPLE = Number(count) / SAMPLES

function features() {
  const map = model.featuresSync(frame)
  const { handle } = native.take(map.tensor.toDLPack())
  map.tensor.dispose()
  map.dispose()
  native.letGo(handle, 'here')
}

const memory = []
let done = 0
for (let sample = 0; sample < SAMPLES; sample++) {
  for (let i = 0; i < PER_SAMPLE; i++, done++) for (const work of WORK) work(done)
  for (let i = 0; i < (device === 'cuda' ? 5 : PER_SAMPLE); i++) features()
  await collectUntil(() => {
    const groups = WORK.map((_, group) => native.counts(group))
    return groups.every(({ made, deleted }) => made === deleted)
  })
  memory.push(collectedMemory())
}
const counts = Object.fromEntries(WORK.map(({ name }, group) => [name, native.counts(group)]))
await model.dispose()
console.log(JSON.stringify({ counts, growth: growthOf(memory, WARM_UP, 15).growth }))
