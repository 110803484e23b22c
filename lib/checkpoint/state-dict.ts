import { quoted } from '../support/quote.js'
import { Malformed } from './malformed.js'
import { PickleDict, type PickleValue } from './pickle-values.js'
import { TorchTensor } from './torch-objects.js'

/** Keys under which training loops save the state dict, the most likely first. */
const WRAPPERS = [
  'state_dict',
  'model_state_dict',
  'model_state',
  'model',
  'net',
  'network',
  'module',
  'ema_state_dict',
  'state_dict_ema',
  'model_ema',
  'ema',
  'params',
  'weights',
]

const DEEPEST = 8
const LONGEST_NAME = 512
const MOST_TENSORS = 100_000

/**
 * Finds the state dict in the object that torch.save wrote: the object itself, or a dictionary under a usual key of training
 * loops. That key does not become a part of the tensors' names. Dictionaries in the state dict
 * (`{ backbone: {...}, head: {...} }`) do: their keys are joined with dots.
 *
 * @throws {Malformed} if there are no named tensors, or absurdly many
 */
export function stateDict(root: PickleValue): Map<string, TorchTensor> {
  if (!(root instanceof PickleDict))
    throw new Malformed(
      `holds ${describe(root)} instead of a state dict; save it so: torch.save(model.state_dict(), 'model.pth')`,
    )
  const tensors = collect(unwrap(root))
  if (tensors.size === 0) throw new Malformed('holds no tensors')
  return tensors
}

function unwrap(root: PickleDict): PickleDict {
  let dict = root
  for (let depth = 0; depth < DEEPEST; depth++) {
    if (hasOwnTensors(dict)) return dict
    const inner = WRAPPERS.map((name) => dict.entries.get(name)).find(
      (value) => value instanceof PickleDict && collect(value).size > 0,
    )
    if (!(inner instanceof PickleDict)) return dict
    dict = inner
  }
  return dict
}

function hasOwnTensors(dict: PickleDict): boolean {
  for (const value of dict.entries.values()) if (value instanceof TorchTensor) return true
  return false
}

/**
 * Collects the tensors of a dictionary and of those nested in it. Each dictionary is visited only once, because a few bytes
 * of pickle can refer to it 2^64 times.
 */
function collect(root: PickleDict): Map<string, TorchTensor> {
  const tensors = new Map<string, TorchTensor>()
  const visited = new Set<PickleDict>([root])
  const open: { dict: PickleDict; prefix: string; depth: number }[] = [{ dict: root, prefix: '', depth: 0 }]
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    const { dict, prefix, depth } = next
    for (const [key, value] of dict.entries) {
      if (typeof key !== 'string' && typeof key !== 'number') continue
      if (value instanceof TorchTensor) tensors.set(joined(prefix, key), value)
      else if (value instanceof PickleDict && depth < DEEPEST && !visited.has(value)) {
        visited.add(value)
        open.push({ dict: value, prefix: `${joined(prefix, key)}.`, depth: depth + 1 })
      }
      if (tensors.size > MOST_TENSORS) throw new Malformed(`holds more than ${MOST_TENSORS} tensors`)
    }
  }
  return tensors
}

function joined(prefix: string, key: string | number): string {
  if (typeof key === 'string' && prefix.length + key.length > LONGEST_NAME)
    throw new Malformed(`holds the name ${quoted(key)} of more than ${LONGEST_NAME} characters`)
  return prefix + key
}

function describe(value: PickleValue): string {
  if (value instanceof TorchTensor) return 'a single tensor'
  if (value === null) return 'None'
  if (value instanceof Uint8Array) return 'bytes'
  if (typeof value === 'object') return `a ${value.kind}`
  return `a ${typeof value}`
}
