import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { InferenceSession, Tensor } from 'onnxruntime-node'
import { withModel } from '../../../checkpoint/open-model.js'
import { FlowError, messageOf } from '../../../errors.js'
import { loadSharp } from '../../../image/sharp.js'
import { defaultsOf } from '../../../load.js'
import { exportOnnx } from '../../../onnx/export.js'
import { resolveGrid } from '../../../size.js'
import { dimensions } from '../../amounts.js'
import { packageVersion } from '../../package.js'
import { modelFiles } from '../../run/model-files.js'
import type { BenchFlags } from '../flags.js'
import type { BenchFrames } from '../frames.js'
import type { OnnxRuntimeContender } from './contender.js'
import type { Target } from './target.js'

type OnnxRuntime = typeof import('onnxruntime-node')

/** Pixels of a side of the network's input. */
interface InputSize {
  readonly width: number
  readonly height: number
}

/**
 * The model of the command in onnxruntime-node: exported for the size of the command, in float32, with the pictures' normalisation
 * inside. As in a stream, a frame costs one pass of the backbone and one of the head. Resizing is not timed.
 *
 * @param threads null for onnxruntime's own choice
 * @throws {FlowError} `ERR_NATIVE` if onnxruntime-node is not installed
 */
export async function onnxRuntimeTarget(
  { name, call }: OnnxRuntimeContender,
  threads: number | null,
  flags: BenchFlags,
  frames: BenchFrames,
): Promise<Target> {
  const runtime = await loadRuntime(name)
  const folder = await mkdtemp(join(tmpdir(), 'dinov3-flow-bench-'))
  try {
    const size = await exportFor(folder, flags, frames)
    const images = await imagesOf(runtime, frames, size)
    const begin = performance.now()
    const open = (model: 'backbone' | 'head') =>
      runtime.InferenceSession.create(join(folder, `${model}.onnx`), sessionOptions(threads))
    const [backbone, head] = [await open('backbone'), await open('head')]
    const load = performance.now() - begin
    const image = (index: number) => images[frames.at(index)]!
    return {
      name,
      info: {
        engine: 'onnxruntime-node, CPU',
        version: runtime.env.versions.node ?? 'unknown',
        call,
        network: dimensions(size),
        refine: 'off',
        threads,
        precision: 'fp32',
      },
      load,
      push: PUSHES[call](name, backbone, head, image),
      async close() {
        await Promise.all([backbone.release(), head.release()])
      },
    }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/** @param find loads the package */
export async function loadRuntime(
  name: string,
  find: () => Promise<OnnxRuntime> = () => import('onnxruntime-node'),
): Promise<OnnxRuntime> {
  try {
    return await find()
  } catch (cause) {
    throw new FlowError(
      'ERR_NATIVE',
      `${name}: onnxruntime-node could not be loaded: ${messageOf(cause).split('\n')[0]}\n` +
        'Install it beside this package: ONNXRUNTIME_NODE_INSTALL=skip npm install onnxruntime-node',
      { cause },
    )
  }
}

/** Threads do not spin while they wait: that would take time from the contender whose turn is next. */
function sessionOptions(threads: number | null): InferenceSession.SessionOptions {
  return {
    executionProviders: ['cpu'],
    ...(threads === null ? {} : { intraOpNumThreads: threads }),
    graphOptimizationLevel: 'all',
    extra: { session: { intra_op: { allow_spinning: '0' } } },
  }
}

/** Writes the models, and returns the size of their pictures. */
async function exportFor(folder: string, flags: BenchFlags, frames: BenchFrames): Promise<InputSize> {
  const files = modelFiles(flags)
  const { size } = defaultsOf({ ...flags, ...files })
  return withModel(files, async (model) => {
    const { patch } = model.backbone.config
    const { gridHeight, gridWidth } = resolveGrid(size, frames, patch)
    const [height, width] = [gridHeight * patch, gridWidth * patch]
    await exportOnnx(folder, model, {
      size: [height, width],
      precision: 'float32',
      normalisation: 'inside',
      ropePeriods: files.ropePeriods,
      version: packageVersion(),
    })
    return { height, width }
  })
}

/** The frames as the models take them: resized, planar, 0 to 255. */
async function imagesOf(
  runtime: OnnxRuntime,
  frames: BenchFrames,
  { width, height }: InputSize,
): Promise<readonly Tensor[]> {
  const sharp = await loadSharp()
  return Promise.all(
    frames.list.map(async (frame) => {
      const raw = { width: frame.width, height: frame.height, channels: 3 } as const
      const pixels = await sharp(frame.data, { raw }).resize(width, height, { fit: 'fill' }).raw().toBuffer()
      const planes = new Float32Array(pixels.length)
      for (let i = 0; i < pixels.length; i++)
        planes[(i % 3) * width * height + Math.floor(i / 3)] = pixels[i]!
      return new runtime.Tensor('float32', planes, [1, 3, height, width])
    }),
  )
}

type Push = (
  name: string,
  backbone: InferenceSession,
  head: InferenceSession,
  image: (index: number) => Tensor,
) => Target['push']

const encode = async (backbone: InferenceSession, image: Tensor): Promise<Tensor> =>
  (await backbone.run({ image }))['features'] as Tensor

const PUSHES: Readonly<Record<OnnxRuntimeContender['call'], Push>> = {
  stream(name, backbone, head, image) {
    let before: Promise<Tensor> | undefined
    return async (stream, index) => {
      if (stream > 0) throw new FlowError('ERR_ARGUMENT', `${name}: computes one stream only`)
      // Frames that are given at a time take turns, as those of a stream do.
      const earlier = before
      before = (async () => {
        const features1 = await earlier
        const features2 = await encode(backbone, image(index))
        if (features1 !== undefined) await head.run({ features1, features2 })
        return features2
      })()
      await before
      return {}
    }
  },

  backbone: (_, backbone, __, image) => async (___, index) => {
    await encode(backbone, image(index))
    return {}
  },

  head(_, backbone, head, image) {
    let features: Promise<readonly [Tensor, Tensor]> | undefined
    return async () => {
      const [features1, features2] = await (features ??= Promise.all([
        encode(backbone, image(0)),
        encode(backbone, image(1)),
      ]))
      await head.run({ features1, features2 })
      return {}
    }
  },
}
