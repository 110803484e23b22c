// Is the peer right, and how fast is it?
//   node bench/peers/check.mjs exact BACKBONE.onnx HEAD.onnx ACTIVATIONS.safetensors
//     compares features and flow with those in the file, which holds frame{1,2}.{input,features} and head.flow
//   node bench/peers/check.mjs time [BACKBONE.onnx HEAD.onnx] [--threads 2] [--runs 30] [--spinning on]
//     times one backbone and one head pass, alternating
import { readFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { parseArgs } from 'node:util'

import { GRAPHS, createPeer } from './onnxruntime.mjs'

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    threads: { type: 'string' },
    runs: { type: 'string', default: '30' },
    spinning: { type: 'string' },
  },
})
const [command, backboneOnnx = GRAPHS.tuned.backboneOnnx, headOnnx = GRAPHS.tuned.headOnnx, expected] =
  positionals
const threads = Number(values.threads ?? availableParallelism())

const commands = { exact, time }
if (!commands[command]) throw new Error('say what to check: exact or time')
const peer = await createPeer({ backboneOnnx, headOnnx, threads, spinning: values.spinning })
await commands[command]()
await peer.dispose()

async function exact() {
  const golden = readSafetensors(expected)
  const features = []
  for (const frame of ['frame1', 'frame2']) {
    const { shape, data } = golden[`${frame}.input`]
    features.push(await peer.encode(data, shape[2], shape[3]))
    report(`${frame}.features`, features.at(-1), golden[`${frame}.features`].data)
  }
  report('head.flow', await peer.flow(...features), golden['head.flow'].data)
}

function report(name, actual, wanted) {
  if (actual.length !== wanted.length)
    throw new Error(`${name}: ${actual.length} values, not ${wanted.length}`)
  const worst = actual.reduce((most, value, i) => Math.max(most, Math.abs(value - wanted[i])), 0)
  const largest = wanted.reduce((most, value) => Math.max(most, Math.abs(value)), 0)
  const relative = worst / largest
  console.log(
    `${name}: largest error ${worst.toExponential(1)}, ${relative.toExponential(1)} of the largest value`,
  )
  // Written so that NaN also fails.
  if (!(relative < 1e-4)) process.exitCode = 1
}

async function time() {
  const side = 640
  const image = Float32Array.from({ length: 3 * side * side }, (_, i) => Math.sin(i * 0.01))
  const features = await peer.encode(image, side, side)
  await peer.flow(features, features)
  const passes = {
    backbone: () => peer.encode(image, side, side),
    head: () => peer.flow(features, features),
  }
  const times = { backbone: [], head: [] }
  for (let run = 0; run < Number(values.runs); run++)
    for (const [name, pass] of Object.entries(passes)) {
      const start = performance.now()
      await pass()
      times[name].push(performance.now() - start)
    }
  console.log(
    `${peer.name} ${peer.version}, ${threads} threads, ${side} x ${side}, float32, ${values.runs} runs`,
  )
  for (const [name, list] of Object.entries(times)) {
    list.sort((a, b) => a - b)
    const [least, median] = [list[0], list[list.length >> 1]]
    console.log(`${name}: least ${least.toFixed(1)} ms, median ${median.toFixed(1)} ms`)
  }
}

function readSafetensors(path) {
  const file = readFileSync(path)
  const start = 8 + Number(file.readBigUInt64LE(0))
  const { __metadata__, ...header } = JSON.parse(file.toString('utf8', 8, start))
  const values = ({ shape, data_offsets: [from, to] }) => {
    const bytes = Uint8Array.prototype.slice.call(file, start + from, start + to)
    return { shape, data: new Float32Array(bytes.buffer) }
  }
  return Object.fromEntries(Object.entries(header).map(([name, entry]) => [name, values(entry)]))
}
