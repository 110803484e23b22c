// Prints the growth of memory, in MiB, over many calls and many loads.
import { loadTiny, plainFrame } from './tiny.mjs'

async function use(calls) {
  const model = await loadTiny({ size: 'native' })
  for (let i = 0; i < calls; i++) {
    const frame = plainFrame(64 + 32 * (i % 5)) // five sizes, more than the engine keeps
    const features = await model.features(frame)
    await model.flowFromFeatures(features, features)
    features.dispose()
    model.flowSync(frame, frame)
  }
  await model.dispose()
  globalThis.gc()
}

const rss = () => process.memoryUsage.rss() / 2 ** 20
for (let i = 0; i < 10; i++) await use(20)
const start = rss()
for (let i = 0; i < 30; i++) await use(20)
console.log(JSON.stringify({ growth: rss() - start }))
