import { fileURLToPath } from 'node:url'
import { movePoints } from 'dinov3-flow'

/** Places of the map of similarities for each patch of a row and a column. */
const DENSITY = 2

/**
 * A second network on the features of the first: similarity.onnx, in onnxruntime.
 *
 * @returns a function: how alike the features of places of a frame are to those of a query, -1 to 1
 */
export async function openSimilarity() {
  const { default: ort } = await import('onnxruntime-node')
  const session = await ort.InferenceSession.create(
    fileURLToPath(new URL('similarity.onnx', import.meta.url)),
  )
  /**
   * @param {Float32Array} features what `map.read()` gives
   * @param {import('dinov3-flow').FeatureMap} map
   * @param {readonly { x: number, y: number }[]} places in pixels of the frame
   * @param {Float32Array} [query] features; default: those of the last place
   */
  return async (features, { gridHeight, gridWidth, dim, frameHeight, frameWidth }, places, query) => {
    const across = places.flatMap(({ x, y }) => [(2 * x + 1) / frameWidth - 1, (2 * y + 1) / frameHeight - 1])
    const feeds = {
      features: new ort.Tensor(features, [gridHeight, gridWidth, dim]),
      places: new ort.Tensor(Float32Array.from(across), [places.length, 2]),
      query: new ort.Tensor(query ?? new Float32Array(dim).fill(1), [dim]),
    }
    const { sampled, similarity } = await session.run(feeds)
    return {
      sampled: /** @type {Float32Array} */ (sampled?.data),
      similarity: /** @type {Float32Array} */ (similarity?.data),
    }
  }
}

/**
 * Follows the thing at a place of the first frame. The flow moves the point, and the features say whether it is still that thing. If
 * it is not, the point is lost, until a place of a frame is alike enough again. One pass of the backbone per frame serves both.
 *
 * @template {import('dinov3-flow').Frame} F
 * @param {import('dinov3-flow').FlowModel} model
 * @param {Awaited<ReturnType<typeof openSimilarity>>} similarityOf
 * @param {AsyncIterable<F> | Iterable<F>} frames
 * @param {{ readonly x: number, readonly y: number }} start in pixels
 * @param {{ readonly lost?: number, readonly found?: number }} [thresholds] the similarity under which the point is lost, and that from
 *   which it is found again
 */
export async function* follow(model, similarityOf, frames, start, { lost = 0.4, found = 0.7 } = {}) {
  const stream = model.stream({ features: true })
  /** @type {Float32Array | undefined} */
  let query
  let point = { ...start, seen: true }
  for await (const frame of frames) {
    const result = await stream.push(frame)
    const { flow, features } = /** @type {import('dinov3-flow').StreamResult} */ (result)
    if (!features) throw new Error('the stream was made without features')
    if (flow && point.seen) {
      const [moved] = movePoints([point], { flow })
      if (moved) point = { x: moved.x, y: moved.y, seen: moved.lost === null }
    }
    const values = await features.read()
    if (query === undefined) query = (await similarityOf(values, features, [point])).sampled

    const [width, height] = [DENSITY * features.gridWidth, DENSITY * features.gridHeight]
    const places = Array.from({ length: width * height }, (_, i) => ({
      x: (((i % width) + 0.5) * frame.width) / width - 0.5,
      y: ((Math.floor(i / width) + 0.5) * frame.height) / height - 0.5,
    }))
    const { similarity } = await similarityOf(values, features, [...places, point], query)
    features.dispose()
    const map = { width, height, data: similarity.subarray(0, -1) }
    if (point.seen && Number(similarity.at(-1)) < lost) point = { ...point, seen: false }
    const best = map.data.reduce((best, value, i) => (value > map.data[best] ? i : best), 0)
    const place = places[best]
    if (!point.seen && place && map.data[best] >= found) point = { ...place, seen: true }
    yield { frame, point, similarity: point.seen ? Number(similarity.at(-1)) : map.data[best], map }
  }
  stream.close()
}
