// Latency of the backbone and of the head at 640 x 640 in the seed's configuration, and of their stages. If onnxruntime-node is
// installed (see bench/peers), it runs the same network for comparison. `dinov3-flow bench` measures all else.
//
//   node bench/latency.mjs [--threads N] [--runs N] [--json FILE] [--no-peers] [--no-stages]
//
// Both alternate, pass by pass, in one process, so that other load on the machine slows both. Our backbone pass includes the
// conversion of an 8-bit frame; the pass of onnxruntime starts from a normalised image.
import { parseArgs } from 'node:util'
import { FlowModel } from 'dinov3-flow'
import { circumstances, percentile, printTable, saveReport, seedCheckpoints, summary } from './lib.mjs'
import { measureStages } from './stages.mjs'
import { createPeer, GRAPHS, prepare } from './peers/onnxruntime.mjs'

const { values: options } = parseArgs({
  options: {
    threads: { type: 'string' },
    runs: { type: 'string', default: '30' },
    json: { type: 'string' },
    'no-peers': { type: 'boolean', default: false },
    'no-stages': { type: 'boolean', default: false },
  },
})
const runs = Number(options.runs)
const side = 640

function frame(seed) {
  const data = new Uint8Array(3 * side * side)
  for (let i = 0; i < data.length; i++)
    data[i] = 128 + 100 * Math.sin((i % (3 * side)) * 0.013 + seed) * Math.cos(i * 2e-5)
  return { data, width: side, height: side }
}
const [a, b] = [frame(0), frame(1)]

const model = await FlowModel.load({
  ...seedCheckpoints(),
  device: 'cpu',
  ...(options.threads === undefined ? {} : { threads: Number(options.threads) }),
})
const { threads } = model.info
const flow = await model.flow(a, b)

// ---- alternating -----------------------------------------------------------------------------------------------------

const contenders = [
  {
    name: 'dinov3-flow',
    encode: () => model.features(a),
    flow: (fa, fb) => model.flowFromFeatures(fa, fb, { into: flow }),
    free: (features) => features.dispose(),
  },
]
if (!options['no-peers']) {
  const missing = prepare()
  if (missing.length > 0)
    console.error(`onnxruntime is left out; to compare with it, run:\n  ${missing.join('\n  ')}`)
  else
    for (const [kind, graphs] of Object.entries(GRAPHS)) {
      const peer = await createPeer({ ...graphs, threads })
      const image = Float32Array.from({ length: 3 * side * side }, (_, i) => Math.sin(i * 0.01))
      contenders.push({
        name: `${peer.name} ${peer.version}, ${kind} graph`,
        encode: () => peer.encode(image, side, side),
        flow: (fa, fb) => peer.flow(fa, fb),
        free: () => {},
      })
    }
}

for (const contender of contenders) {
  contender.features = [await contender.encode(), await contender.encode()]
  await contender.flow(...contender.features)
  contender.backbone = []
  contender.head = []
}
for (let run = 0; run < runs; run++) {
  for (const contender of contenders) {
    const start = performance.now()
    const features = await contender.encode()
    const between = performance.now()
    await contender.flow(...contender.features)
    contender.head.push(performance.now() - between)
    contender.backbone.push(between - start)
    contender.free(features)
  }
}

// ---- report ----------------------------------------------------------------------------------------------------------

const report = {
  ...circumstances(`node bench/latency.mjs ${process.argv.slice(2).join(' ')}`.trim()),
  engine: model.info.engine,
  instructionSet: model.info.instructionSet,
  threads,
  size: [side, side],
  contenders: contenders.map(({ name, backbone, head }) => ({
    name,
    backboneMs: summary(backbone),
    headMs: summary(head),
    // the ratio is taken per round, so that a slow moment of the machine affects both
    backboneRatio: percentile(
      backbone.map((ms, i) => ms / contenders[0].backbone[i]),
      0.5,
    ),
    headRatio: percentile(
      head.map((ms, i) => ms / contenders[0].head[i]),
      0.5,
    ),
  })),
}
await model.dispose()
if (!options['no-stages']) report.stages = measureStages({ threads, frames: 10 })

const ms = (value) => Number(value.toFixed(1))
console.log(
  `${report.date}, commit ${report.commit}, ${report.cpu}, ${report.instructionSet}, ${threads} threads, Node ${report.node}`,
)
printTable(
  `One pass at ${side} x ${side}, milliseconds over ${runs} alternating runs; "x" is the median of theirs / ours, run by run`,
  report.contenders.flatMap(({ name, backboneMs, headMs, backboneRatio, headRatio }) => [
    {
      pass: 'backbone',
      by: name,
      p50: ms(backboneMs.p50),
      p95: ms(backboneMs.p95),
      p99: ms(backboneMs.p99),
      least: ms(backboneMs.least),
      x: backboneRatio.toFixed(2),
    },
    {
      pass: 'head',
      by: name,
      p50: ms(headMs.p50),
      p95: ms(headMs.p95),
      p99: ms(headMs.p99),
      least: ms(headMs.least),
      x: headRatio.toFixed(2),
    },
  ]),
)
if (report.stages) {
  const { stages } = report
  for (const part of ['backbone', 'head'])
    printTable(
      `Stages of the ${part}; peak measured in this run: ${stages.peakGflops.toFixed(1)} GFLOP/s`,
      stages[part]
        .sort((x, y) => y.ms - x.ms)
        .map((stage) => ({
          stage: stage.stage,
          calls: stage.calls,
          ms: Number(stage.ms.toFixed(2)),
          GFLOP: Number(stage.gflop.toFixed(2)),
          'GFLOP/s': Number(stage.gflops.toFixed(1)),
          'of peak': `${(100 * stage.peakShare).toFixed(0)} %`,
        })),
    )
}
saveReport(options.json, report)
