// Answers requests for flow with the built package, for the evaluation in Python.
//
//   node package.mjs [ENTRY]
//
// ENTRY is the package's module; default: dist/index.js of this repository. A request is a line of JSON on stdin,
// { height, width, options, want }, and the bytes of two rgb frames behind it. `options` holds `load`, the options of
// FlowModel.load, and `flow`, those of flowMaps; `want` lists the maps that are wanted besides the flow: confidence, occlusion,
// and measures, from which confidence is computed.
//
// The answer is a line of JSON on stdout, { maps, shapes, ms }, and the maps behind it in that order, float32: the flow and what
// was wanted. Of a request that fails, the answer is the line { error, code } alone.
import path from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

const MAPS = ['confidence', 'occlusion', 'measures']

/** Lines and bytes of a stream, in turn. */
class Reader {
  #chunks
  #rest = Buffer.alloc(0)

  constructor(stream) {
    this.#chunks = stream[Symbol.asyncIterator]()
  }

  async #more() {
    const { value, done } = await this.#chunks.next()
    return done ? undefined : value
  }

  /** The next line without its end; undefined at the end of the stream. */
  async line() {
    let end
    while ((end = this.#rest.indexOf(10)) < 0) {
      const chunk = await this.#more()
      if (chunk === undefined) return undefined
      this.#rest = Buffer.concat([this.#rest, chunk])
    }
    const line = this.#rest.toString('utf8', 0, end)
    this.#rest = this.#rest.subarray(end + 1)
    return line
  }

  /** The next bytes, in memory of their own. */
  async bytes(count) {
    const chunks = [this.#rest]
    let length = this.#rest.length
    while (length < count) {
      const chunk = await this.#more()
      if (chunk === undefined) throw new Error(`stdin ended after ${length} of ${count} bytes of frames`)
      chunks.push(chunk)
      length += chunk.length
    }
    const all = Buffer.concat(chunks)
    this.#rest = all.subarray(count)
    return Uint8Array.from(all.subarray(0, count))
  }
}

const models = new Map()

/** The model of these options, which is loaded at the first request for it. */
function modelOf(FlowModel, load) {
  const key = JSON.stringify(load)
  if (!models.has(key)) models.set(key, FlowModel.load(load))
  return models.get(key)
}

/** The flow of two frames and the maps that are wanted, and the milliseconds that they took. */
async function compute(model, frames, flowOptions, want) {
  const began = performance.now()
  const maps = Object.fromEntries(want.filter((map) => map !== 'measures').map((map) => [map, true]))
  const result = await model.flowMaps(...frames, { ...flowOptions, ...maps })
  return { ...result, ms: performance.now() - began }
}

/** What confidence is computed from, with or without a backward flow: planes of half the frames' size. */
async function measure(load, model, frames, { refine = 'default', backward = false }) {
  const { defaultsOf, loadModel } = await import(new URL('load.js', entry))
  const { native } = await loadModel(load, { stack: '' })
  const { checkRefine } = await import(new URL('refine.js', entry))
  const { resolveGrid } = await import(new URL('size.js', entry))
  const [from, to] = frames.map((frame) => ({ ...frame, stride: 3 * frame.width }))
  const { height, width } = from
  const { gridHeight, gridWidth } = resolveGrid(defaultsOf(load).size, from, model.info.backbone.patch)
  const made = (planes) => new Float32Array(planes * height * width)
  const { trace } = native.run({
    from,
    to,
    gridHeight,
    gridWidth,
    refine: checkRefine(refine),
    height,
    width,
    flow: made(2),
    confidence: made(1),
    backward: backward ? made(2) : undefined,
    trace: true,
  })
  native.disposeSync()
  const { values, rows, cols } = trace.find(({ name }) => name.endsWith('measures'))
  return { data: values, height: rows, width: cols }
}

/** The answer's line and its maps. */
async function answer(FlowModel, { height, width, options = {}, want = [] }, bytes) {
  const { load = {}, flow: flowOptions = {}, ...others } = options
  const unknown = [...Object.keys(others), ...want.filter((map) => !MAPS.includes(map))]
  if (unknown.length > 0) throw new Error(`unknown: ${unknown.join(', ')}`)
  const length = 3 * height * width
  const frames = [0, length].map((at) => ({
    data: bytes.subarray(at, at + length),
    width,
    height,
    format: 'rgb',
  }))
  const model = await modelOf(FlowModel, load)
  const result = await compute(model, frames, flowOptions, want)
  if (want.includes('measures')) result.measures = await measure(load, model, frames, flowOptions)
  if (result.flow.width !== width || result.flow.height !== height)
    throw new Error(`flow has ${result.flow.height} x ${result.flow.width}, frames have ${height} x ${width}`)
  const maps = [result.flow.data, ...want.map((map) => Float32Array.from(result[map].data))]
  const shapes = want.map((map) => [result[map].height, result[map].width])
  return { line: { maps: ['flow', ...want], shapes: [[2, height, width], ...shapes], ms: result.ms }, maps }
}

/** Resolves once the bytes are on their way. */
function write(bytes) {
  return new Promise((resolve, reject) =>
    process.stdout.write(bytes, (error) => (error ? reject(error) : resolve())),
  )
}

const given = process.argv[2] ?? fileURLToPath(new URL('../../../dist/index.js', import.meta.url))
const entry = pathToFileURL(path.resolve(given)).href
const { FlowModel } = await import(entry)
const reader = new Reader(process.stdin)
for (let text; (text = await reader.line()) !== undefined;) {
  // If the size of a request is unknown, so is where the next one begins: the process ends with an error.
  const request = JSON.parse(text)
  const bytes = await reader.bytes(6 * request.height * request.width)
  try {
    const { line, maps } = await answer(FlowModel, request, bytes)
    await write(`${JSON.stringify(line)}\n`)
    for (const map of maps) await write(new Uint8Array(map.buffer, map.byteOffset, map.byteLength))
  } catch (error) {
    await write(`${JSON.stringify({ error: error.message, code: error.code })}\n`)
  }
}
for (const loaded of await Promise.allSettled(models.values())) await loaded.value?.dispose()
