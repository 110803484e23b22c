// Pushes many tiny frames through streams of random options, with drops, aborts, resets, sizes, duplicates and bad frames, all
// from one seed. Compares the counts of each stream with its results. Prints the growth of memory.
// The warm-up comes in addition, and is half as long.
//   node --expose-gc test/support/soak-stream.mjs [frames] [seed]
import { setImmediate as turn } from 'node:timers/promises'
import { collectedMemory, growthOf } from './memory.mjs'
import { randomFrom } from './random.mjs'
import { Tally } from './stream-tally.mjs'
import { loadTiny, noise } from './tiny.mjs'

const FRAMES = 1.5 * Number(process.argv[2] ?? 100_000)
const random = randomFrom(Number(process.argv[3] ?? 1))
const SAMPLES = 150
const WARM_UP = 50
const LAG = 20
const MAX_STREAMS = 3

const model = await loadTiny({ size: 'native', threads: 1 })
const frames = Array.from({ length: 8 }, (_, i) => noise(32, 32, i))
const others = [noise(48, 32, 1), noise(32, 48, 2)]
const bad = [{ data: new Uint8Array(3), width: 2, height: 2 }, null, '/nowhere/frame.png']

const totals = new Tally()
let pushed = 0
let streams = 0

function randomOptions() {
  const policy = random.pick(['wait', 'reject', 'drop-oldest'])
  return {
    queue: { policy, depth: random.integer(policy === 'drop-oldest' ? 1 : 0, 6) },
    deadline: random.chance(0.3) ? 0.05 + 2 * random.next() : undefined,
    sceneCut: random.pick([false, false, true, 0.9]),
    backward: random.chance(0.2),
    occlusion: random.chance(0.2),
    confidence: random.chance(0.2),
    reuse: random.chance(0.5),
    features: random.chance(0.3),
  }
}

function open() {
  const controller = random.chance(0.5) ? new AbortController() : undefined
  const stream = model.stream({ ...randomOptions(), signal: controller?.signal })
  // Of the frames of an iterable not every outcome is seen, so half of the streams are compared count by count.
  const iterable = random.chance(0.5)
  return { stream, controller, iterable, tally: new Tally(), pending: new Set(), frame: frames[0] }
}

function randomFrame(entry) {
  if (random.chance(0.02)) return random.pick(bad)
  if (random.chance(0.03)) entry.frame = random.pick(others)
  else if (!random.chance(0.1)) entry.frame = random.pick(frames) // else the same once more
  return entry.frame
}

/** Pushes one frame; its outcome is tallied when it comes. */
function push(entry) {
  const controller = random.chance(0.15) ? new AbortController() : undefined
  pushed++
  const call = entry.stream.push(randomFrame(entry), { signal: controller?.signal })
  const settled = entry.tally.add(call).finally(() => entry.pending.delete(settled))
  entry.pending.add(settled)
  if (controller === undefined) return
  const when = random.pick(['now', 'soon', 'later'])
  if (when === 'now') controller.abort()
  else if (when === 'soon') queueMicrotask(() => controller.abort())
  else setImmediate(() => controller.abort())
}

/** Feeds an iterable to the stream, and sometimes leaves it early. */
async function iterate(entry) {
  const count = random.integer(1, 12)
  const leave = random.chance(0.3) ? random.integer(1, count) : Infinity
  const given = Array.from({ length: count }, () => randomFrame(entry))
  let results = 0
  for await (const _ of entry.stream.from(given)) if (++results >= leave) break
  // Frames that were read ahead are computed although nobody takes their results.
  await drained(entry.stream)
}

async function drained(stream) {
  for (let stats = stream.stats(); stats.waiting + stats.running > 0; stats = stream.stats()) await turn()
}

async function act(entry) {
  const { stream, pending } = entry
  const what = random.next()
  if (what < 0.05) stream.reset()
  if (what < 0.1 && stream.stats().waiting + stream.stats().running === 0) {
    for (let i = random.integer(1, 4); i > 0; i--, pushed++)
      entry.tally.addSync(() => stream.pushSync(randomFrame(entry)))
  } else if (what < 0.18 && entry.iterable) {
    await Promise.all(pending)
    const before = stream.stats().pushed
    await iterate(entry)
    const read = stream.stats().pushed - before
    entry.tally.unseen += read
    pushed += read
  } else {
    for (let i = random.integer(1, 8); i > 0; i--) push(entry)
    const wait = random.next()
    if (wait < 0.3) await Promise.all(pending)
    else if (wait < 0.6) await Promise.race(pending)
    else if (wait < 0.9) await stream.ready()
    else await turn()
  }
}

async function end(entry) {
  if (random.chance(0.2)) await Promise.all(entry.pending)
  if (entry.controller !== undefined && random.chance(0.5)) entry.controller.abort()
  else entry.stream.close()
  await Promise.all(entry.pending)
  await drained(entry.stream)
  entry.tally.check(entry.stream.stats())
  totals.merge(entry.stream.stats())
  streams++
}

const from = performance.now()
const samples = []
const live = []
while (pushed < FRAMES) {
  if (live.length < MAX_STREAMS && random.chance(0.1)) live.push(open())
  if (live.length === 0) continue
  await act(random.pick(live))
  if (random.chance(0.01)) await end(live.splice(random.integer(0, live.length - 1), 1)[0])
  if (pushed >= ((samples.length + 1) * FRAMES) / SAMPLES) samples.push(collectedMemory())
}
for (const entry of live) await end(entry)
await model.dispose()
const seconds = (performance.now() - from) / 1000
console.log(
  JSON.stringify({
    frames: pushed,
    streams,
    seconds,
    ...growthOf(samples, WARM_UP, LAG),
    ...totals.counts,
  }),
)
