import { Collector, type ExpectedShape } from './collector.js'
import { type NamedModel, type NamedTensors, nameTensors } from './names.js'
import { refusal } from './refusal.js'
import { type Plan, type ReadyModel, finishPlan, notThere, requireReady } from './plan.js'
import type { BackboneConfig, CheckpointFile, HeadConfig } from './tensor.js'

const MOST = { channels: 8192, radius: 16, layers: 64, up: 64 }

const MASK = 'convex_upsampler.mask_head'

/**
 * Derives the flow head's architecture from the shapes in a file, and finds all its weights. A file may hold the backbone as
 * well.
 *
 * @param prefix - as in `nameTensors`
 * @throws {FlowError} `ERR_CHECKPOINT_TENSOR` if a tensor is missing or does not fit; the message names file, tensor and
 *   reason
 */
export function readHead(file: CheckpointFile, prefix?: string): ReadyModel<HeadConfig> {
  const named = nameTensors(file, prefix)
  if (named.head === undefined) throw notThere(named, 'head', prefix)
  return requireReady(named, named.head, planHead(file, named, named.head))
}

/** @throws {FlowError} `ERR_CHECKPOINT_TENSOR` if the head was trained for features of another width */
export function checkPair(backbone: ReadyModel<BackboneConfig>, head: ReadyModel<HeadConfig>): void {
  if (head.config.inChannels === backbone.config.dim) return
  throw refusal(
    'ERR_CHECKPOINT_TENSOR',
    head.path,
    `the head takes features of ${head.config.inChannels} channels (tensor "proj1.weight"), ` +
      `but the backbone ${backbone.path} gives ${backbone.config.dim}: use the backbone that the head was trained with`,
  )
}

/** Collects a head's weights from a file, and every problem with them. Does not throw. */
export function planHead(file: CheckpointFile, named: NamedTensors, model: NamedModel): Plan<HeadConfig> {
  const from = new Collector(file, model)
  const { proj, inChannels } = takeProjections(from)
  const fusionTeller = 'fuse_in.0.pw.weight'
  const fusion = from.within(fusionTeller, 'a fusion width', from.axis(fusionTeller, 0), MOST.channels)
  const radius = takeFusion(from, proj, fusion)
  const layers = takeTrunk(from, 'fuse_trunk.', fusion)
  takeSeparable(from, 'flow_head.0.', fusion, fusion)
  takeConvolution(from, 'flow_head.1', [2, fusion, 1, 1])
  const refine = takeRefinement(from, fusion)
  const up = takeUpsampler(from, fusion)
  const config =
    proj === undefined ||
    inChannels === undefined ||
    fusion === undefined ||
    radius === undefined ||
    layers === undefined ||
    refine === undefined ||
    up === undefined
      ? undefined
      : { inChannels, proj, radius, fusion, layers, up, refine }
  return finishPlan<HeadConfig>(from, named, config)
}

function takeProjections(from: Collector): { proj: number | undefined; inChannels: number | undefined } {
  const name = 'proj1.weight'
  const proj = from.within(name, 'a projection', from.axis(name, 0), MOST.channels)
  const inChannels = from.within(name, 'input channels', from.axis(name, 1), MOST.channels)
  for (const which of [1, 2]) {
    from.take(`proj${which}.weight`, [proj, inChannels, 1, 1])
    takeBatchNorm(from, `bn${which}.`, proj)
  }
  return { proj, inChannels }
}

/**
 * The fusion's input is [f1, f2, |f1 - f2|, correlation].
 *
 * @returns the correlation radius r, from the number of input channels: 3 * proj + (2 r + 1)^2
 */
function takeFusion(
  from: Collector,
  proj: number | undefined,
  fusion: number | undefined,
): number | undefined {
  const name = 'fuse_in.0.dw.weight'
  const input = from.within(name, 'fusion channels', from.axis(name, 0), 4 * MOST.channels)
  takeSeparable(from, 'fuse_in.0.', input, fusion)
  takeSqueezeExcite(from, 'fuse_in.1.', fusion)
  if (input === undefined || proj === undefined) return undefined
  const side = Math.sqrt(input - 3 * proj)
  if (!Number.isInteger(side) || side % 2 !== 1) {
    from.unfit(name, `has ${input} channels, which three of ${proj} and a correlation window cannot make`)
    return undefined
  }
  const radius = (side - 1) / 2
  if (radius <= MOST.radius) return radius
  from.unfit(name, `gives a correlation radius of ${radius}: at most ${MOST.radius} can be used`)
  return undefined
}

/** Takes the [DSConv, SE, DSConv] groups of a trunk, and returns their number. */
function takeTrunk(from: Collector, trunk: string, channels: number | undefined): number | undefined {
  let last = { index: 0, name: `${trunk}net.0.dw.weight` }
  for (const name of from.names) {
    const index = name.startsWith(`${trunk}net.`)
      ? Number(/^\d{1,6}(?=\.)/.exec(name.slice(trunk.length + 4))?.[0] ?? -1)
      : -1
    if (index > last.index) last = { index, name }
  }
  const layers = from.within(last.name, 'a trunk', Math.ceil((last.index + 1) / 3), MOST.layers)
  for (let i = 0; i < (layers ?? 1); i++) {
    takeSeparable(from, `${trunk}net.${3 * i}.`, channels, channels)
    takeSqueezeExcite(from, `${trunk}net.${3 * i + 1}.`, channels)
    takeSeparable(from, `${trunk}net.${3 * i + 2}.`, channels, channels)
  }
  return layers
}

/** @returns number of groups of the refinement's trunk; 0 if the head has no refinement */
function takeRefinement(from: Collector, fusion: number | undefined): number | undefined {
  if (![...from.names].some((name) => name.startsWith('refine.'))) return 0
  takeSeparable(from, 'refine.0.', fusion === undefined ? undefined : fusion + 2, fusion)
  const refine = takeTrunk(from, 'refine.1.', fusion)
  takeConvolution(from, 'refine.2', [2, fusion, 1, 1])
  return refine
}

/** @returns the upsampling factor, from the number of the mask's channels: 9 * factor^2 */
function takeUpsampler(from: Collector, fusion: number | undefined): number | undefined {
  const name = `${MASK}.2.weight`
  const channels = from.axis(name, 0)
  takeConvolution(from, `${MASK}.0`, [fusion, fusion, 3, 3])
  takeConvolution(from, `${MASK}.2`, [channels, fusion, 1, 1])
  if (channels === undefined) return undefined
  const up = Math.sqrt(channels / 9)
  if (Number.isInteger(up)) return from.within(name, 'an upsampling', up, MOST.up)
  from.unfit(name, `has ${channels} channels, which are not nine for each pixel of a square`)
  return undefined
}

/** DSConv: 3 x 3 depthwise, 1 x 1, BatchNorm. */
function takeSeparable(
  from: Collector,
  layer: string,
  input: number | undefined,
  output: number | undefined,
): void {
  from.take(`${layer}dw.weight`, [input, 1, 3, 3])
  from.take(`${layer}pw.weight`, [output, input, 1, 1])
  takeBatchNorm(from, `${layer}bn.`, output)
}

function takeSqueezeExcite(from: Collector, layer: string, channels: number | undefined): void {
  const name = `${layer}fc1.weight`
  const squeezed = from.within(name, 'a squeezed width', from.axis(name, 0), MOST.channels)
  takeConvolution(from, `${layer}fc1`, [squeezed, channels, 1, 1])
  takeConvolution(from, `${layer}fc2`, [channels, squeezed, 1, 1])
}

function takeConvolution(from: Collector, layer: string, weight: ExpectedShape): void {
  from.take(`${layer}.weight`, weight)
  from.take(`${layer}.bias`, weight.slice(0, 1))
}

function takeBatchNorm(from: Collector, layer: string, channels: number | undefined): void {
  for (const name of ['weight', 'bias', 'running_mean', 'running_var'])
    from.take(`${layer}${name}`, [channels])
}
