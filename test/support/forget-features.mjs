// Makes feature maps and forgets them, twice; prints the growth of memory in MiB each time.
import { setTimeout as sleep } from 'node:timers/promises'
import { loadTiny, plainFrame } from './tiny.mjs'

// The size is small, so attention is quick. The number is large, so maps that are not freed show in the memory.
const SIZE = [256, 256]
const MAPS = 500

const model = await loadTiny({ size: SIZE, threads: 1 })
const frame = plainFrame(64)

async function forgetSome() {
  const before = process.memoryUsage.rss()
  const maps = []
  for (let i = 0; i < MAPS; i++) maps.push(await model.features(frame))
  const growth = process.memoryUsage.rss() - before
  maps.length = 0
  for (let i = 0; i < 10; i++) {
    globalThis.gc()
    await sleep(5)
  }
  return growth / 2 ** 20
}

console.log(JSON.stringify({ first: await forgetSome(), second: await forgetSome() }))
