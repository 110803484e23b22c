import { quoted } from '../support/quote.js'
import { HOW_TO_SAVE, Malformed } from './malformed.js'
import { PickleDict, PickleList, PickleOpaque, PickleTuple, type PickleValue } from './pickle-values.js'
import { TorchTensor } from './torch-objects.js'

/** Keys under which training loops save the one state dict of a file. They say nothing about it. */
const CONTAINERS = new Set<PickleValue>([
  'state_dict',
  'model_state_dict',
  'model_state',
  'model',
  'net',
  'network',
  'module',
  'params',
  'weights',
])

/** Keys of what a training loop needs to go on, which is no part of a model: an optimizer's averages and its like. */
const TRAINING = /(^|_)(optim\w*|schedulers?|scaler|rng\w*)(_|$)/i

const DEEPEST = 8
const LONGEST_NAME = 512
const MOST_TENSORS = 100_000
const MOST_OBJECTS = 1000

/** The named tensors of the object that torch.save wrote. */
export interface StateDict {
  readonly tensors: ReadonlyMap<string, TorchTensor>
  /** Names at which there is a Python object that was skipped, with its class; at most 1000. */
  readonly objects: ReadonlyMap<string, string>
}

/**
 * Finds all tensors in the object that torch.save wrote, except those of an optimizer. Keys of nested dictionaries and indices
 * of lists are joined with dots: `{ model: {...}, ema: {...} }` gives `model.x` and `ema.x`. If all are in one dictionary under
 * a usual key of training loops, `{ state_dict: {...}, epoch: 3 }`, that key is left out.
 *
 * @throws {Malformed} if there are no named tensors, or absurdly many
 */
export function stateDict(root: PickleValue): StateDict {
  if (!isContainer(root)) throw new Malformed(`holds ${describe(root)} instead of a state dict`, HOW_TO_SAVE)
  const found = collect(unwrap(root))
  if (found.tensors.size > 0) return found
  const [object] = found.objects.values()
  const instead =
    object === undefined ? '' : `, but an object of ${quoted(object)}, which was not run or read`
  throw new Malformed(`holds no tensors${instead}`, HOW_TO_SAVE)
}

type Container = PickleDict | PickleList | PickleTuple

function isContainer(value: PickleValue): value is Container {
  return value instanceof PickleDict || value instanceof PickleList || value instanceof PickleTuple
}

/** Enters dictionaries that hold all tensors under one usual key. */
function unwrap(root: Container): Container {
  let container = root
  for (let depth = 0; depth < DEEPEST; depth++) {
    if (!(container instanceof PickleDict)) return container
    const visited = new Set<Container>([container])
    const holders = [...container.entries].filter(([key, value]) => holdsTensors(key, value, visited))
    const [key, inner = null] = holders[0] ?? []
    if (holders.length !== 1 || key === undefined || !CONTAINERS.has(key) || !isContainer(inner))
      return container
    container = inner
  }
  return container
}

function holdsTensors(key: PickleValue, value: PickleValue, visited: Set<Container>): boolean {
  if (value instanceof TorchTensor) return true
  return isContainer(value) && !isTraining(key) && collect(value, visited).tensors.size > 0
}

function isTraining(key: PickleValue): boolean {
  return typeof key === 'string' && key.length <= LONGEST_NAME && TRAINING.test(key)
}

/**
 * Collects the tensors of a container and of those nested in it. Each container is visited only once, because a few bytes of
 * pickle can refer to it 2^64 times.
 */
function collect(root: Container, visited = new Set<Container>()): StateDict {
  const tensors = new Map<string, TorchTensor>()
  const objects = new Map<string, string>()
  if (visited.has(root)) return { tensors, objects }
  visited.add(root)
  const open: { container: Container; prefix: string; depth: number }[] = [
    { container: root, prefix: '', depth: 0 },
  ]
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    const { container, prefix, depth } = next
    const inner: typeof open = []
    for (const [key, value] of entriesOf(container)) {
      if (typeof key !== 'string' && typeof key !== 'number') continue
      if (value instanceof TorchTensor) tensors.set(checked(prefix, key), value)
      else if (typeof key === 'string' && prefix.length + key.length > LONGEST_NAME) continue
      else if (value instanceof PickleOpaque) {
        if (objects.size < MOST_OBJECTS) objects.set(prefix + key, value.name)
      } else if (isContainer(value) && depth < DEEPEST && !visited.has(value) && !isTraining(key)) {
        visited.add(value)
        inner.push({ container: value, prefix: `${prefix}${key}.`, depth: depth + 1 })
      }
      if (tensors.size > MOST_TENSORS)
        throw new Malformed(`holds more than ${MOST_TENSORS} tensors`, HOW_TO_SAVE)
    }
    // The last is opened first: so names come in the order of the file.
    for (let item = inner.pop(); item !== undefined; item = inner.pop()) open.push(item)
  }
  return { tensors, objects }
}

function entriesOf(container: Container): Iterable<[PickleValue, PickleValue]> {
  return container instanceof PickleDict ? container.entries : container.items.entries()
}

function checked(prefix: string, key: string | number): string {
  if (typeof key === 'string' && prefix.length + key.length > LONGEST_NAME)
    throw new Malformed(
      `holds the name ${quoted(key)} of more than ${LONGEST_NAME} characters`,
      'save it under shorter names',
    )
  return prefix + key
}

function describe(value: PickleValue): string {
  if (value instanceof TorchTensor) return 'a single tensor'
  if (value instanceof PickleOpaque) return `an object of ${quoted(value.name)}, which was not run or read,`
  if (value === null) return 'None'
  if (value instanceof Uint8Array) return 'bytes'
  if (typeof value === 'object') return `a ${value.kind}`
  return `a ${typeof value}`
}
