import { join } from 'node:path'
import { InferenceSession, Tensor } from 'onnxruntime-node'
import { type ModelSource, withModel } from '../../lib/checkpoint/open-model.js'
import { exportOnnx, type OnnxOptions } from '../../lib/onnx/export.js'
import type { ExportPrecision } from '../../lib/onnx/graph.js'
import { toHalf } from '../../lib/support/half.js'
import type { RgbFrame } from '../support/fixtures.js'

/** Exports a model, in float32 and for pictures that are normalised, unless the options say otherwise. */
export async function exportModel(
  folder: string,
  { backbone, head, backboneConfig, normalization }: ModelSource,
  options: Pick<OnnxOptions, 'size'> & Partial<OnnxOptions>,
) {
  return withModel({ backbone, head, backboneConfig, normalization }, (model) =>
    exportOnnx(folder, model, {
      precision: 'float32',
      normalisation: 'outside',
      version: '0.0.0',
      ...options,
    }),
  )
}

/** An array and its shape. */
export interface NdArray {
  readonly data: Float32Array
  readonly dims: readonly number[]
}

/** Runs a file of a folder once, on the CPU. */
export function runModel(
  folder: string,
  name: 'backbone' | 'head' | 'flow',
  inputs: Readonly<Record<string, NdArray>>,
): Promise<NdArray> {
  return runFile(join(folder, `${name}.onnx`), inputs)
}

/** Runs a file once, on the CPU. Its inputs are float32, or the other type. */
export async function runFile(
  path: string,
  inputs: Readonly<Record<string, NdArray>>,
  type: ExportPrecision = 'float32',
): Promise<NdArray> {
  const session = await InferenceSession.create(path, {
    executionProviders: ['cpu'],
    intraOpNumThreads: 2,
    logSeverityLevel: 3,
  })
  try {
    const feeds = Object.entries(inputs).map(([key, { data, dims }]) => [
      key,
      type === 'float16' ? new Tensor(type, toHalf(data), dims) : new Tensor(type, data, dims),
    ])
    const [output] = Object.values(await session.run(Object.fromEntries(feeds)))
    return { data: output!.data as Float32Array, dims: output!.dims }
  } finally {
    await session.release()
  }
}

/** A frame as a model takes it: normalised, or as its pixels are. */
export function imageOf({ data, width, height }: RgbFrame, normalise = true): NdArray {
  const [mean, deviation] = [
    [0.485, 0.456, 0.406],
    [0.229, 0.224, 0.225],
  ]
  const planar = new Float32Array(data.length)
  for (let i = 0; i < data.length; i++) {
    const channel = i % 3
    const value = normalise ? (data[i]! / 255 - mean![channel]!) / deviation![channel]! : data[i]!
    planar[channel * width * height + Math.floor(i / 3)] = value
  }
  return { data: planar, dims: [1, 3, height, width] }
}
