// A stream of N frames against N pairs of frames, with the seed's configuration; and the price of a push beyond the engine's
// own time, with a tiny model. Contenders alternate in one process, so that other load on the machine slows all of them.
//
//   node bench/stream.mjs [--frames N] [--rounds N] [--size 640x640] [--threads N] [--pushes N] [--json FILE]
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { FlowModel } from 'dinov3-flow'
import { circumstances, percentile, printTable, saveReport, seedCheckpoints, summary } from './lib.mjs'

const { values: options } = parseArgs({
  options: {
    frames: { type: 'string', default: '4' },
    rounds: { type: 'string', default: '5' },
    size: { type: 'string', default: '640x640' }, // height x width
    threads: { type: 'string' },
    pushes: { type: 'string', default: '5000' },
    json: { type: 'string' },
  },
})
const [height, width] = options.size.split('x').map(Number)
const count = Number(options.frames)
const threads = options.threads === undefined ? {} : { threads: Number(options.threads) }

/** Frames of random pixels, all different. */
function noise(frames, height, width) {
  return Array.from({ length: frames }, (_, seed) => {
    const data = new Uint8Array(3 * height * width)
    let state = seed + 1
    for (let i = 0; i < data.length; i++) {
      state = (Math.imul(state, 1664525) + 1013904223) | 0
      data[i] = state >>> 24
    }
    return { data, width, height }
  })
}

// ---- the price of a push, first: a heap of large frames makes it dearer ----------------------------------------------

const tiny = (name) => fileURLToPath(new URL(`../test/fixtures/tiny/${name}.safetensors`, import.meta.url))
const small = await FlowModel.load({
  backbone: tiny('backbone'),
  head: tiny('head'),
  size: 'native',
  device: 'cpu',
  threads: 1,
})
const overhead = []
{
  const frames = noise(4, 64, 64)
  const stream = small.stream()
  for (let i = -500; i < Number(options.pushes); i++) {
    const begin = performance.now()
    const result = stream.pushSync(frames[(i + 500) % frames.length])
    const total = performance.now() - begin
    if (i >= 0) overhead.push(1000 * (total - result.timing.engine))
  }
}
await small.dispose()

// ---- N frames against N pairs ----------------------------------------------------------------------------------------

const frames = noise(count + 1, height, width)
const model = await FlowModel.load({ ...seedCheckpoints(), device: 'cpu', size: 'native', ...threads })

/** Milliseconds for the flow of every pair of successive frames. */
async function pairs() {
  const begin = performance.now()
  for (let i = 1; i < frames.length; i++) await model.flow(frames[i - 1], frames[i])
  return performance.now() - begin
}

/** As `pairs`, by a stream whose first frame was computed before. */
async function stream(wanted) {
  const stream = model.stream(wanted)
  await stream.push(frames[0])
  const begin = performance.now()
  await Promise.all(frames.slice(1).map((frame) => stream.push(frame)))
  const time = performance.now() - begin
  stream.close()
  return time
}

const contenders = {
  pairs,
  stream: () => stream({}),
  'stream, backward': () => stream({ backward: true }),
  'stream, backward, occlusion, confidence': () =>
    stream({ backward: true, occlusion: true, confidence: true }),
}
const times = Object.fromEntries(Object.keys(contenders).map((name) => [name, []]))
for (const run of Object.values(contenders)) await run() // to warm up
for (let round = 0; round < Number(options.rounds); round++)
  for (const [name, run] of Object.entries(contenders)) times[name].push((await run()) / count)

const loop = monitorEventLoopDelay({ resolution: 1 })
loop.enable()
await stream({ backward: true, occlusion: true })
loop.disable()
const eventLoopMs = Object.fromEntries([50, 99, 99.9].map((p) => [`p${p}`, loop.percentile(p) / 1e6]))
await model.dispose()

// ---- report ----------------------------------------------------------------------------------------------------------

const median = (values) =>
  percentile(
    [...values].sort((a, b) => a - b),
    50,
  )
const report = {
  ...circumstances(`node bench/stream.mjs ${process.argv.slice(2).join(' ')}`.trim()),
  instructionSet: model.info.instructionSet,
  threads: model.info.threads,
  size: [height, width],
  frames: count,
  msPerFlow: Object.fromEntries(Object.entries(times).map(([name, values]) => [name, summary(values)])),
  timesAsFastAsPairs: Object.fromEntries(
    Object.entries(times).map(([name, values]) => [
      name,
      median(values.map((value, round) => times.pairs[round] / value)),
    ]),
  ),
  eventLoopMs,
  pushSyncOverheadUs: summary(overhead),
}
printTable(
  `one flow, ${width} x ${height}, ${report.instructionSet}, ${report.threads} threads`,
  Object.entries(report.msPerFlow).map(([of, { p50, p99 }]) => ({
    of,
    'p50, ms': p50.toFixed(1),
    'p99, ms': p99.toFixed(1),
    'times as fast as pairs': report.timesAsFastAsPairs[of].toFixed(2),
  })),
)
const { p50, p99 } = report.pushSyncOverheadUs
console.log(
  `pushSync beyond the engine's time, tiny model, 64 x 64: p50 ${p50.toFixed(0)} µs, p99 ${p99.toFixed(0)} µs`,
)
console.log(`event loop delay while streaming: p99 ${eventLoopMs.p99.toFixed(1)} ms`)
saveReport(options.json, report)
