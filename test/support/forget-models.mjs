// Loads models and forgets them; prints how many threads there are before and after, and the growth of memory in MiB.
import { readdirSync } from 'node:fs'
import { collectUntil, loadTiny, plainFrame } from './tiny.mjs'

const threads = () => readdirSync('/proc/self/task').length
const frame = plainFrame(64)

async function forgetSome(count) {
  for (let i = 0; i < count; i++) {
    let model // onProgress refers to it, which must not keep the model alive
    model = await loadTiny({ size: 'native', threads: 2, onProgress: () => model })
    await model.features(frame)
    await model.flow(frame, frame)
  }
  await collectUntil(() => threads() <= before + 2)
}

const before = threads()
await forgetSome(20)
const start = process.memoryUsage.rss()
await forgetSome(20)
const after = threads()
console.log(JSON.stringify({ before, after, growth: (process.memoryUsage.rss() - start) / 2 ** 20 }))
