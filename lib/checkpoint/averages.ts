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
  const lists = new Map<string, StoredTensor[]>()
  for (const tensor of file.tensors.values()) {
    if (!/\.\d+$/.test(tensor.name)) continue
    const prefix = tensor.name.slice(0, tensor.name.lastIndexOf('.') + 1)
    const list = lists.get(prefix)
    if (list === undefined) lists.set(prefix, [tensor])
    else list.push(tensor)
  }
  if (lists.size === 0) return []
  const parameters = [...whole.tensors].filter(
    ([name]) => !isBuffer(name) && !name.endsWith('.num_batches_tracked'),
  )
  const found: Found[] = []
  for (const [prefix, list] of lists) {
    const role = roleOf(prefix, file.tensors)
    const fits =
      role === 'average' &&
      list.length === parameters.length &&
      parameters.every(([, { shape }], i) => shape.join() === list[i]!.shape.join())
    if (!fits) continue
    const tensors = new Map(parameters.map(([name], i) => [name, list[i]!]))
    found.push({ prefix, role, layout: whole.layout, tensors, weights: countWeights(tensors) })
  }
  return found
}
