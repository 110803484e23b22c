import type { BackboneConfig, HeadConfig, Weight } from '../../checkpoint/tensor.js'
import type { Device } from '../../device.js'
import { FlowError } from '../../errors.js'
import { loadAddon } from '../../native/addon.js'
import type { NativeModelInfo, NativeTensorRT } from '../../native/contract.js'
import { checkFrame } from '../../frame.js'

const DIM = 8
const HIDDEN = 8
const PROJ = 4
const FUSION = 8
const UP = 2
const BACKBONE: BackboneConfig = {
  dim: DIM,
  depth: 1,
  heads: 1,
  headDim: DIM,
  ffn: 'mlp',
  hidden: HIDDEN,
  patch: 4,
  storageTokens: 1,
}
const HEAD: HeadConfig = {
  inChannels: DIM,
  proj: PROJ,
  radius: 1,
  fusion: FUSION,
  layers: 1,
  up: UP,
  refine: 0,
}

export interface SelfTest {
  readonly info: NativeModelInfo
  readonly tensorRT: NativeTensorRT
}

/**
 * Runs the smallest possible network through every stage of an engine. All its weights are zero, so the flow must be zero.
 *
 * @returns the engine's description of itself, and TensorRT as it can use it
 * @throws {FlowError} `ERR_NATIVE` if the addon cannot be loaded or the flow is not zero; else the addon's error
 */
export async function selfTest(device: Device): Promise<SelfTest> {
  const { NativeModel } = loadAddon()
  const model = new NativeModel({
    backbone: BACKBONE,
    head: HEAD,
    backboneWeights: zeros(backboneShapes()),
    headWeights: zeros(headShapes()),
    ropePeriods: 'float32',
    device,
    precision: 'auto',
    wait: 'auto',
    threads: 0,
  })
  try {
    await model.load(() => undefined)
    const side = 6 * BACKBONE.patch
    const data = Uint8Array.from({ length: 3 * side * side }, (_, i) => (37 * i) % 256)
    const frame = checkFrame({ data, width: side, height: side, format: 'rgb' }, 'frame')
    const flow = new Float32Array(2 * side * side).fill(NaN)
    const grid = { gridHeight: 6, gridWidth: 6 }
    await model.submit({ from: frame, to: frame, ...grid, height: side, width: side, flow }, 0)
    if (flow.some((value) => value !== 0))
      throw new FlowError('ERR_NATIVE', 'the engine computes motion where there is none')
    return { info: model.describe(), tensorRT: await model.tensorRT() }
  } finally {
    await model.dispose()
  }
}

type Shapes = Readonly<Record<string, readonly number[]>>

function zeros(shapes: Shapes): Weight[] {
  return Object.entries(shapes).map(([name, shape]) => ({
    name,
    shape,
    parts: [{ zeros: shape.reduce((product, side) => product * side, 1) }],
  }))
}

function backboneShapes(): Shapes {
  const { patch, storageTokens } = BACKBONE
  return {
    cls_token: [1, 1, DIM],
    storage_tokens: [1, storageTokens, DIM],
    'patch_embed.proj.weight': [DIM, 3, patch, patch],
    'patch_embed.proj.bias': [DIM],
    ...affine('blocks.0.norm1', DIM),
    ...affine('blocks.0.attn.qkv', 3 * DIM, DIM),
    ...affine('blocks.0.attn.proj', DIM, DIM),
    'blocks.0.ls1.gamma': [DIM],
    ...affine('blocks.0.norm2', DIM),
    ...affine('blocks.0.mlp.fc1', HIDDEN, DIM),
    ...affine('blocks.0.mlp.fc2', DIM, HIDDEN),
    'blocks.0.ls2.gamma': [DIM],
    ...affine('norm', DIM),
  }
}

function headShapes(): Shapes {
  const window = (2 * HEAD.radius + 1) ** 2
  return {
    'proj1.weight': [PROJ, DIM, 1, 1],
    ...batchNorm('bn1', PROJ),
    'proj2.weight': [PROJ, DIM, 1, 1],
    ...batchNorm('bn2', PROJ),
    ...separable('fuse_in.0', 3 * PROJ + window),
    ...squeezeExcite('fuse_in.1'),
    ...separable('fuse_trunk.net.0', FUSION),
    ...squeezeExcite('fuse_trunk.net.1'),
    ...separable('fuse_trunk.net.2', FUSION),
    ...separable('flow_head.0', FUSION),
    ...affine('flow_head.1', 2, FUSION, 1, 1),
    ...affine('convex_upsampler.mask_head.0', FUSION, FUSION, 3, 3),
    ...affine('convex_upsampler.mask_head.2', 9 * UP * UP, FUSION, 1, 1),
  }
}

/** Shapes of a layer's weight and bias. The bias has one value per row of the weight. */
function affine(name: string, ...shape: readonly [number, ...number[]]): Shapes {
  return { [`${name}.weight`]: shape, [`${name}.bias`]: [shape[0]] }
}

function batchNorm(name: string, channels: number): Shapes {
  return {
    ...affine(name, channels),
    [`${name}.running_mean`]: [channels],
    [`${name}.running_var`]: [channels],
  }
}

function separable(name: string, input: number): Shapes {
  return {
    [`${name}.dw.weight`]: [input, 1, 3, 3],
    [`${name}.pw.weight`]: [FUSION, input, 1, 1],
    ...batchNorm(`${name}.bn`, FUSION),
  }
}

function squeezeExcite(name: string): Shapes {
  return { ...affine(`${name}.fc1`, 1, FUSION, 1, 1), ...affine(`${name}.fc2`, FUSION, 1, 1, 1) }
}
