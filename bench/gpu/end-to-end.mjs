// The tiny model through the addon on a GPU, against the oracle, in every precision. Needs dist, build/Release and
// node_modules/node-gyp-build, and nothing else of node_modules: frames are raw pixels.
//
//   node bench/gpu/end-to-end.mjs
//
// Prints one JSON object. The exit code is 1 if a bar is missed.
import { readFileSync } from 'node:fs'
import { FlowModel } from '../../dist/index.js'

const fixture = (name) => new URL(`../../test/fixtures/tiny/${name}`, import.meta.url)
const frame = (name) => ({ data: readFileSync(fixture(name)), width: 160, height: 112 })

/** Reads a tensor of a fixture. All tensors of a fixture are float32. */
function tensor(file, name) {
  const bytes = readFileSync(fixture(file))
  const data = 8 + Number(bytes.readBigUInt64LE(0))
  const [begin, end] = JSON.parse(bytes.subarray(8, data).toString())[name].data_offsets
  return new Float32Array(bytes.buffer.slice(bytes.byteOffset + data + begin, bytes.byteOffset + data + end))
}

/** The worst and the mean error in px, over all components. */
function difference(flow, expected) {
  let [worst, sum] = [0, 0]
  for (let i = 0; i < expected.length; i++) {
    const d = Math.abs(flow[i] - expected[i])
    if (d > worst || Number.isNaN(d)) worst = d
    sum += d
  }
  return { worst, mean: sum / expected.length }
}

const sameBits = (a, b) => a.length === b.length && a.every((value, i) => Object.is(value, b[i]))

const [a, b] = [frame('frame1.rgb'), frame('frame2.rgb')]
const golden = tensor('activations.safetensors', 'head.flow')
const resized = tensor('flow_150x203.safetensors', 'flow')

async function run(model, bars) {
  const flow = await model.flow(a, b)
  const own = difference(flow.data, golden)
  const other = difference((await model.flow(a, b, { output: [150, 203] })).data, resized)
  const backward = await model.flow(b, a)

  // Later calls, from frames or from features, are recorded and replayed. Their results must be those of the first call.
  let same = true
  for (let round = 0; round < 4; round++) {
    const [from, to] = [await model.features(a), await model.features(b)]
    same &&= sameBits((await model.flowFromFeatures(from, to)).data, flow.data)
    same &&= sameBits((await model.flowFromFeatures(to, from)).data, backward.data)
    same &&= sameBits(model.flowSync(a, b).data, flow.data)
    from.dispose()
    to.dispose()
  }
  const worst = Math.max(own.worst, other.worst)
  const mean = Math.max(own.mean, other.mean)
  const within = worst <= bars.worst && mean <= bars.mean && same
  return { flowWorstPx: worst, flowMeanPx: mean, bars, same, within }
}

const results = []
let device
for (const [precision, bars] of [
  ['fp16', { worst: 0.1, mean: 0.01 }],
  ['bf16', { worst: 0.5, mean: 0.06 }],
  ['fp32', { worst: 1e-3, mean: 1e-4 }],
]) {
  try {
    const model = await FlowModel.load({
      backbone: fixture('backbone.safetensors'),
      head: fixture('head.safetensors'),
      size: 'native',
      device: 'cuda',
      precision,
    })
    device = { name: model.info.device, ...model.info.gpu }
    try {
      results.push({ precision, ...(await run(model, bars)) })
    } finally {
      await model.dispose()
    }
  } catch (error) {
    results.push({ precision, error: String(error), within: false })
  }
}
console.log(JSON.stringify({ node: process.version, device, results }))
process.exitCode = results.every(({ within }) => within) ? 0 : 1
