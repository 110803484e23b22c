// Latency of one frame of a stream with the package's own model. `advance` runs the backbone on the new frame, and the head
// on its features and those of the frame before. Backbone and head are also timed in separate calls.
//
//   node bench/default-model.mjs [--size 480x640] [--threads N] [--device auto] [--runs N] [--json FILE]
import { parseArgs } from 'node:util'
import { FlowModel } from 'dinov3-flow'
import { circumstances, printTable, saveReport, summary } from './lib.mjs'

const { values: options } = parseArgs({
  options: {
    size: { type: 'string', default: '480x640' }, // height x width
    threads: { type: 'string' },
    device: { type: 'string', default: 'auto' },
    runs: { type: 'string', default: '50' },
    json: { type: 'string' },
  },
})
const [height, width] = options.size.split('x').map(Number)

const model = await FlowModel.load({
  device: options.device,
  ...(options.threads === undefined ? {} : { threads: Number(options.threads) }),
})
// A texture that moves by 3 px a frame.
const frames = [0, 1].map((time) => {
  const frame = model.createFrame({ width, height, format: 'rgb' })
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++) {
      const u = x - 3 * time
      const value = 128 + 60 * Math.sin(u * 0.31) * Math.cos(y * 0.23) + 60 * Math.sin(u * 0.07 + y * 0.05)
      frame.data.fill(value, 3 * (y * width + x), 3 * (y * width + x) + 3)
    }
  return frame
})
const flow = model.createField(width, height)

const times = { frame: [], backbone: [], head: [] }
let before = await model.features(frames[0])
for (let run = -3; run < Number(options.runs); run++) {
  const frame = frames[Math.abs(run) % 2]
  const begin = performance.now()
  const { features: now } = await model.advance(before, frame, { into: flow })
  const advanced = performance.now()
  const again = await model.features(frame)
  const encoded = performance.now()
  await model.flowFromFeatures(before, again, { into: flow })
  const end = performance.now()
  before.dispose()
  again.dispose()
  before = now
  if (run < 0) continue // to warm up
  times.frame.push(advanced - begin)
  times.backbone.push(encoded - advanced)
  times.head.push(end - encoded)
}
before.dispose()

const report = {
  ...circumstances(`node bench/default-model.mjs ${process.argv.slice(2).join(' ')}`.trim()),
  engine: model.info.engine,
  device: model.info.device,
  instructionSet: model.info.instructionSet,
  threads: model.info.threads,
  precision: model.info.precision,
  size: [height, width],
  ms: Object.fromEntries(Object.entries(times).map(([name, values]) => [name, summary(values)])),
}
await model.dispose()

printTable(
  `one frame of a stream, ${width} x ${height}, ${report.engine}, ${report.threads ?? '-'} threads, ms`,
  Object.entries(report.ms).map(([of, { p50, p95, p99, least }]) => ({
    of,
    ...Object.fromEntries(Object.entries({ p50, p95, p99, least }).map(([k, v]) => [k, v.toFixed(1)])),
  })),
)
saveReport(options.json, report)
