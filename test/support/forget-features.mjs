// Makes feature maps and forgets them, twice; prints the growth of memory in MiB each time.
import { collectUntil, loadTiny, plainFrame } from './tiny.mjs'

// The size is small, so attention is quick. The number is large, so maps that are not freed show in the memory.
const SIZE = [256, 256]
const MAPS = 500

const model = await loadTiny({ size: SIZE, threads: 1 })
const frame = plainFrame(64)

let forgotten = 0
const registry = new FinalizationRegistry(() => forgotten++)

async function forgetSome() {
  const before = process.memoryUsage.rss()
  const maps = []
  for (let i = 0; i < MAPS; i++) {
    maps.push(await model.features(frame))
    registry.register(maps[i])
  }
  const growth = process.memoryUsage.rss() - before
  maps.length = 0
  forgotten = 0
  // The map of the last call may still be on the stack.
  await collectUntil(() => forgotten >= MAPS - 1)
  ;(await model.features(frame)).dispose() // comes after the calls that free the maps
  return growth / 2 ** 20
}

console.log(JSON.stringify({ first: await forgetSome(), second: await forgetSome() }))
