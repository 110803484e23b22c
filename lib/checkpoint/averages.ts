import { countWeights, roleOf } from './candidates.js'
import type { Found } from './names.js'
import type { CheckpointFile, StoredTensor } from './tensor.js'
import { isBuffer, isNeedless } from './vocabulary.js'

// Averages of weights that are saved in another form than the model: of parameters alone, or without names.

/**
 * Completes an average of parameters alone by the buffers of the model itself, BatchNorm's statistics above all: training loops
 * evaluate it so.
 */
export function withBuffers(model: Found, whole: Found): Found {
  if (model.role !== 'average' || model.layout !== whole.layout) return model
  const lacking = [...whole.tensors].filter(([name]) => !model.tensors.has(name))
  const needed = lacking.filter(([name]) => !isNeedless(name))
  if (needed.length === 0 || !needed.every(([name]) => isBuffer(name))) return model
  const tensors = new Map([...model.tensors, ...lacking])
  return { ...model, tensors, weights: countWeights(tensors), buffers: whole.prefix }
}

/**
 * Finds averages that are lists in the order of the model's parameters, such as the `shadow_params` of torch_ema and diffusers.
 * Length and all shapes must be those of the model beside it.
 */
export function listedAverages(file: CheckpointFile, whole: Found): Found[] {
  const found: Found[] = []
  const parameters = parametersOf(whole)
  for (const [prefix, list] of averagesOf(file, (leaf) => /^\d+$/.test(leaf))) {
    const tensors = [...list.values()]
    if (tensors.length !== parameters.length) continue
    const model = average(prefix, whole, parameters, (_, i) => tensors[i])
    if (model !== undefined) found.push(model)
  }
  return found
}

/**
 * Finds averages whose names are those of the model's parameters without the dots, such as the `model_ema.blocks0norm1weight` of
 * latent diffusion's LitEma: PyTorch allows no dot in the name of a buffer. All parameters must be there, in the same shapes.
 */
export function dotlessAverages(file: CheckpointFile, whole: Found): Found[] {
  const found: Found[] = []
  const parameters = parametersOf(whole)
  // The average may be that of an outer module: then its names have a part of the model's prefix in front.
  const outer = whole.prefix.split('.').map((_, i, parts) => parts.slice(i).join(''))
  for (const [prefix, averaged] of averagesOf(file, (leaf) => !/^\d+$/.test(leaf))) {
    if (averaged.size < parameters.length) continue
    for (const start of outer) {
      const nameOf = (tensor: StoredTensor): string =>
        start + tensor.name.slice(whole.prefix.length).replaceAll('.', '')
      const model = average(prefix, whole, parameters, (tensor) => averaged.get(nameOf(tensor)))
      if (model === undefined) continue
      found.push(model)
      break
    }
  }
  return found
}

/** The tensors behind each prefix of averages, by the last part of their names, if `isOwn` takes it. */
function averagesOf(
  file: CheckpointFile,
  isOwn: (leaf: string) => boolean,
): Map<string, Map<string, StoredTensor>> {
  const averages = new Map<string, Map<string, StoredTensor>>()
  for (const tensor of file.tensors.values()) {
    const at = tensor.name.lastIndexOf('.') + 1
    const leaf = tensor.name.slice(at)
    if (at === 0 || !isOwn(leaf)) continue
    const prefix = tensor.name.slice(0, at)
    const known = averages.get(prefix)
    if (known === undefined) averages.set(prefix, new Map([[leaf, tensor]]))
    else known.set(leaf, tensor)
  }
  for (const prefix of averages.keys())
    if (roleOf(prefix, file.tensors) !== 'average') averages.delete(prefix)
  return averages
}

/** Names in the model's layout, and tensors. */
type Parameters = readonly (readonly [name: string, tensor: StoredTensor])[]

function parametersOf(whole: Found): Parameters {
  return [...whole.tensors].filter(([name]) => !isBuffer(name) && !isNeedless(name))
}

/** The average of a model; undefined if `find` lacks a parameter, or gives one of another shape. */
function average(
  prefix: string,
  whole: Found,
  parameters: Parameters,
  find: (tensor: StoredTensor, index: number) => StoredTensor | undefined,
): Found | undefined {
  const tensors = new Map<string, StoredTensor>()
  for (const [i, [name, tensor]] of parameters.entries()) {
    const averaged = find(tensor, i)
    if (averaged?.shape.join() !== tensor.shape.join()) return undefined
    tensors.set(name, averaged)
  }
  return { prefix, role: 'average', layout: whole.layout, tensors, weights: countWeights(tensors) }
}
