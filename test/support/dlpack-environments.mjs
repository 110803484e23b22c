// Ends worker threads that exchange tensors with another native module. Prints its counts of them.
import { Worker } from 'node:worker_threads'
import { native } from './native-module.mjs'

const ENDS = ['terminate', 'exit', 'return']

async function run(end, group) {
  const worker = new Worker(new URL('dlpack-worker.mjs', import.meta.url), { workerData: { group, end } })
  const exited = new Promise((resolve, reject) => worker.once('exit', resolve).once('error', reject))
  await new Promise((resolve) => worker.once('message', resolve))
  if (end === 'terminate') await worker.terminate()
  await exited
}

for (let round = 0; round < 4; round++) for (const [group, end] of ENDS.entries()) await run(end, group)
await Promise.all(ENDS.map(run))
console.log(JSON.stringify(Object.fromEntries(ENDS.map((end, group) => [end, native.counts(group)]))))
