// Loads the tiny model and disposes of it again and again, in all ways, some with frames of a stream in flight. Prints the growth
// of memory.
//   node --expose-gc test/support/load-cycles.mjs [cycles]
import { collectedMemory, growthOf } from './memory.mjs'
import { loadTiny, noise } from './tiny.mjs'

const CYCLES = Number(process.argv[2] ?? 1000)
const SAMPLES = 100
const WARM_UP = 20
const LAG = 20

const frames = [1, 2, 3].map((seed) => noise(32, 32, seed))

const ENDS = [
  (model) => model.dispose(),
  (model) => model.disposeSync(),
  (model) => model[Symbol.asyncDispose](), // what `await using` calls
  (model) => model[Symbol.dispose](),
]

async function cycle(i) {
  const model = await loadTiny({ size: 'native', threads: 1 })
  const stream = i % 3 === 0 ? undefined : model.stream({ reuse: i % 2 === 0 })
  const pushes = frames.map((frame) => stream?.push(frame))
  if (i % 3 === 1) await pushes[0] // else all are in flight
  const settled = Promise.allSettled(pushes)
  await ENDS[i % ENDS.length](model)
  await settled
}

const samples = []
for (let i = 0; i < CYCLES; i++) {
  await cycle(i)
  if (i + 1 >= ((samples.length + 1) * CYCLES) / SAMPLES) samples.push(collectedMemory())
}
console.log(JSON.stringify({ cycles: CYCLES, ...growthOf(samples, WARM_UP, LAG) }))
