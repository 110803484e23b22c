// The peer of the CPU engine: the same network, run by onnxruntime-node in float32.
// Its graphs come from export_onnx.py; `prepare` says what is missing and which command provides it.
import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'

const SYNTHETIC = 'node test/support/synthetic-checkpoint.mjs'
const EXPORT =
  'python3 bench/peers/export_onnx.py build/peers/backbone.safetensors build/peers/head.safetensors'
const RECIPE = {
  runtime: 'ONNXRUNTIME_NODE_INSTALL=skip npm install --prefix bench/peers',
  graphs: [
    'mkdir -p build/peers',
    `${SYNTHETIC} dinov3_vits16plus build/peers/backbone.safetensors`,
    `${SYNTHETIC} head:seed build/peers/head.safetensors 384`,
    `${EXPORT} build/peers/tuned`,
    `${EXPORT} build/peers/plain --plain`,
  ],
}

/**
 * The graphs that export_onnx.py writes if it is run with the commands of `prepare`. `plain` is a plain export of the PyTorch
 * code. `tuned` is the same network, rewritten by hand with onnxruntime's own operators for its CPU kernels.
 */
export const GRAPHS = {
  plain: { backboneOnnx: 'build/peers/plain/backbone.onnx', headOnnx: 'build/peers/plain/head.onnx' },
  tuned: { backboneOnnx: 'build/peers/tuned/backbone.onnx', headOnnx: 'build/peers/tuned/head.onnx' },
}

/** Commands to run from the repository's root before `createPeer` can work; empty if nothing is missing. */
export function prepare(graphs = Object.values(GRAPHS)) {
  const commands = []
  if (!runtimeInstalled()) commands.push(RECIPE.runtime)
  const files = graphs.flatMap(({ backboneOnnx, headOnnx }) => [backboneOnnx, headOnnx])
  if (!files.every((file) => existsSync(file))) commands.push(...RECIPE.graphs)
  return commands
}

/**
 * Loads both graphs. `encode` turns a normalised image (1 x 3 x H x W) into features. `flow` turns the features of two images
 * into the flow in pixels. Both take and return planar Float32Arrays. H and W must be those of the export.
 *
 * `spinning: 'on'` lets idle worker threads spin. That gains nothing measurable here, and it takes cores from the work that
 * is timed next in the same process. So 'off' is the fair default.
 */
export async function createPeer({ backboneOnnx, headOnnx, threads, spinning = 'off' }) {
  const commands = prepare([{ backboneOnnx, headOnnx }])
  if (commands.length) throw new Error(`onnxruntime is not ready; run:\n  ${commands.join('\n  ')}`)

  const { InferenceSession, Tensor } = requirePeer('onnxruntime-node')
  const options = sessionOptions(threads, spinning)
  const backbone = await InferenceSession.create(backboneOnnx, options)
  const head = await InferenceSession.create(headOnnx, options)
  const map = shapeOf(head, 'features1')

  return {
    name: 'onnxruntime-node',
    version: requirePeer('onnxruntime-node/package.json').version,
    async encode(input, height, width) {
      const { features } = await backbone.run({ image: new Tensor('float32', input, [1, 3, height, width]) })
      return features.data
    },
    async flow(a, b) {
      const [features1, features2] = [a, b].map((data) => new Tensor('float32', data, map))
      return (await head.run({ features1, features2 })).flow.data
    },
    async dispose() {
      await Promise.all([backbone.release(), head.release()])
    },
  }
}

function sessionOptions(threads, spinning) {
  return {
    executionProviders: ['cpu'],
    intraOpNumThreads: threads,
    interOpNumThreads: 1,
    executionMode: 'sequential',
    graphOptimizationLevel: 'all',
    enableCpuMemArena: true,
    enableMemPattern: true,
    // Even threads that may spin stop when the last run has returned.
    extra: {
      session: { intra_op: { allow_spinning: spinning === 'on' ? '1' : '0' }, force_spinning_stop: '1' },
    },
  }
}

function shapeOf(session, name) {
  return session.inputMetadata.find((input) => input.name === name).shape
}

function requirePeer(name) {
  return createRequire(import.meta.url)(name)
}

function runtimeInstalled() {
  try {
    createRequire(import.meta.url).resolve('onnxruntime-node')
    return true
  } catch {
    return false
  }
}
