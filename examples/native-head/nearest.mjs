import { existsSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'

/**
 * @typedef {import('dinov3-flow').DLPackCapsule} DLPackCapsule
 * @typedef {import('dinov3-flow').Tensor<'float32'>} Features `map.tensor` of a FeatureMap
 * @typedef {import('dinov3-flow').Tensor<'uint8'>} Labels one for each patch, gridHeight x gridWidth
 * @typedef {object} Addon nearest.c
 * @property {(index: number, ptx: string) => bigint} openGpu
 * @property {(features: DLPackCapsule, known: DLPackCapsule, knownLabels: DLPackCapsule) => DLPackCapsule} nearest
 */

const fileOf = (/** @type {string} */ name) => fileURLToPath(new URL(name, import.meta.url))

/**
 * The second head: each patch gets the label of the known patch whose features are most like its own. It computes where the features
 * lie, on the CPU or on a GPU, and its labels stay there.
 *
 * @param {import('dinov3-flow').FlowModel} model
 * @returns a function of features, and of known features and their labels. It waits for no GPU, and all three may be disposed as soon
 *   as it returns. The addon keeps their memory until its kernel is done and the event loop has turned.
 */
export function openNearest(model) {
  const path = fileOf('nearest.node')
  if (!existsSync(path)) throw new Error(`${path} is not there: compile nearest.c as README.md says`)
  /** @type {Addon} */
  const addon = createRequire(import.meta.url)(path)
  /** @type {bigint | undefined} */
  let stream
  return (
    /** @type {Features} */ features,
    /** @type {Features} */ known,
    /** @type {Labels} */ knownLabels,
  ) => {
    const gpu = /^cuda:(\d+)$/.exec(features.device)
    if (gpu) stream ??= addon.openGpu(Number(gpu[1]), readFileSync(fileOf('nearest.ptx'), 'utf8'))
    const labels = addon.nearest(features.toDLPack(), known.toDLPack(), knownLabels.toDLPack())
    // The model's calls wait for what this stream does, on the GPU.
    return model.fromDLPack(labels, 'uint8', { stream: gpu ? stream : undefined })
  }
}

/**
 * Follows things through frames. One pass of the backbone per frame serves the labels and the flow.
 *
 * @param {import('dinov3-flow').FlowModel} model
 * @param {Iterable<import('dinov3-flow').Frame>} frames
 * @param {(x: number, y: number) => number} labelAt the label of a place of the first frame, in pixels
 */
export async function* segment(model, frames, labelAt) {
  const nearest = openNearest(model)
  const stream = model.stream({ features: true })
  /** @type {{ features: Features, labels: Labels } | undefined} */
  let known
  try {
    for (const frame of frames) {
      const result = await stream.push(frame)
      const { flow, features: map } = /** @type {import('dinov3-flow').StreamResult} */ (result)
      if (!map) throw new Error('the stream was made without features')
      const { gridWidth: width, gridHeight: height, tensor: features } = map
      map.dispose() // the tensor keeps the features
      if (known === undefined) {
        const at = (/** @type {number} */ index, /** @type {number} */ size, /** @type {number} */ pixels) =>
          ((index + 0.5) * pixels) / size - 0.5
        const data = Uint8Array.from({ length: width * height }, (_, i) =>
          labelAt(at(i % width, width, frame.width), at(Math.floor(i / width), height, frame.height)),
        )
        known = { features, labels: await model.createTensor([height, width], 'uint8').copyFrom(data) }
      }
      /** @type {Labels | undefined} */
      let labels
      try {
        labels = nearest(features, known.features, known.labels)
        yield { flow, labels: { width, height, data: await labels.toHost() } }
      } finally {
        labels?.dispose()
        if (features !== known.features) features.dispose()
      }
    }
  } finally {
    known?.features.dispose()
    known?.labels.dispose()
    stream.close()
  }
}
