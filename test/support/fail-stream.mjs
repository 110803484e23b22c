// Makes a kernel launch fail in the middle of a stream, and prints what becomes of its pushes.
import { loadTiny, noise } from './tiny.mjs'

const model = await loadTiny({ device: 'cuda', size: 'native' })
const stream = model.stream({ queue: { depth: 10 } })
const push = (seed) =>
  stream.push(noise(32, 32, seed)).then(
    () => 'done',
    ({ code }) => code,
  )
const before = await Promise.all([1, 2, 3].map(push))
process.env.EMULATOR_FAIL = 'cuLaunchKernel:1,cuGraphLaunch:1'
const meanwhile = await Promise.all([4, 5, 6, 7, 8].map(push))
const after = await push(9)
const { pushed, waiting, running, dropped } = stream.stats()
stream.close()
const closed = await push(10)
await model.dispose()
console.log(JSON.stringify({ before, meanwhile, after, closed, pushed, waiting, running, dropped }))
