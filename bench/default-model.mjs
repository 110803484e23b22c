// Latency of one frame of a stream with the package's own model, for its presets and for its network alone, in turns, and how
// it grows with the frame. The network's share of a preset is the time of its size alone, without refinement.
//
//   node bench/default-model.mjs [--sizes 480x640,1080x1920] [--threads N] [--device auto] [--runs N] [--json FILE]
import path from 'node:path'
import { parseArgs } from 'node:util'
import { FlowModel } from 'dinov3-flow'
import sharp from 'sharp'
import { circumstances, printTable, ROOT, saveReport, summary } from './lib.mjs'

const { values: options } = parseArgs({
  options: {
    sizes: { type: 'string', default: '480x640' }, // height x width
    threads: { type: 'string' },
    device: { type: 'string', default: 'auto' },
    runs: { type: 'string', default: '30' },
    json: { type: 'string' },
  },
})
const WARM_UP = 2
const VARIANTS = {
  'network at fit': { size: 'fit', refine: 'off' },
  'network at half': { size: 'half', refine: 'off' },
  fast: { size: 'half', refine: 'fast' },
  balanced: { size: 'half', refine: 'default' },
  best: { size: 'fit', refine: 'best' },
}

const model = await FlowModel.load({
  device: options.device,
  ...(options.threads === undefined ? {} : { threads: Number(options.threads) }),
})

/** The two frames of `npm run example` at another size. */
function framesOf(width, height) {
  return Promise.all(
    [1, 2].map(async (n) => {
      const frame = model.createFrame({ width, height, format: 'rgb' })
      const file = path.join(ROOT, `test/fixtures/seed/frame${n}_source.png`)
      frame.data.set(await sharp(file).resize(width, height, { fit: 'fill' }).removeAlpha().raw().toBuffer())
      return frame
    }),
  )
}

/** Milliseconds of each variant's frames. */
async function measure(width, height, runs) {
  const frames = await framesOf(width, height)
  const into = model.createField(width, height)
  const streams = {}
  for (const [name, variant] of Object.entries(VARIANTS))
    streams[name] = { before: await model.features(frames[0], variant), times: [] }
  for (let run = -WARM_UP; run < runs; run++) {
    for (const [name, stream] of Object.entries(streams)) {
      const begin = performance.now()
      const options = { into, refine: VARIANTS[name].refine }
      const { features } = await model.advance(stream.before, frames[Math.abs(run + 1) % 2], options)
      if (run >= 0) stream.times.push(performance.now() - begin)
      stream.before.dispose()
      stream.before = features
    }
  }
  for (const { before } of Object.values(streams)) before.dispose()
  return Object.fromEntries(Object.entries(streams).map(([name, { times }]) => [name, summary(times)]))
}

const results = []
for (const text of options.sizes.split(',')) {
  const [height, width] = text.split('x').map(Number)
  const ms = await measure(width, height, Number(options.runs))
  results.push({ size: [height, width], ms })
  const alone = (name) => ms[`network at ${VARIANTS[name].size}`].p50
  printTable(
    `one frame of a stream, ${width} x ${height}, ${model.info.engine}, ${model.info.threads ?? '-'} threads, ms`,
    Object.entries(ms).map(([of, { p50, p95, p99, least }]) => ({
      of,
      ...Object.fromEntries(Object.entries({ p50, p95, p99, least }).map(([k, v]) => [k, v.toFixed(1)])),
      'of network at fit': `${Math.round((100 * p50) / ms['network at fit'].p50)} %`,
      refinement: VARIANTS[of].refine !== 'off' ? (p50 - alone(of)).toFixed(1) : '',
    })),
  )
}
saveReport(options.json, {
  ...circumstances(`node bench/default-model.mjs ${process.argv.slice(2).join(' ')}`.trim()),
  engine: model.info.engine,
  device: model.info.device,
  instructionSet: model.info.instructionSet,
  threads: model.info.threads,
  precision: model.info.precision,
  results,
})
await model.dispose()
