import { listed, quoted } from '../support/quote.js'
import { axes, elements, extent, isCount } from './layout.js'
import { Malformed } from './malformed.js'
import { PickleDict, PickleGlobal, PickleList, PickleObject, PickleTuple } from './pickle-values.js'
import type { PickleValue } from './pickle-values.js'
import type { PickleHost } from './pickle.js'
import { DTYPE_BYTES, type DType, type StoredTensor } from './tensor.js'

/** A contiguous run of elements. Tensors are views of it. */
export class TorchStorage extends PickleObject {
  constructor(
    readonly key: string,
    readonly dtype: DType,
    /** Elements. */
    readonly count: number,
  ) {
    super()
  }

  get bytes(): number {
    return this.count * DTYPE_BYTES[this.dtype]
  }
}

/** A view of a storage, as the pickle describes it; `storedTensor` checks it. */
export class TorchTensor extends PickleObject {
  constructor(
    readonly storage: TorchStorage,
    readonly offset: PickleValue,
    readonly shape: PickleValue,
    readonly strides: PickleValue,
  ) {
    super()
  }
}

const STORAGES: ReadonlyMap<string, DType> = new Map<string, DType>([
  ['torch.FloatStorage', 'float32'],
  ['torch.HalfStorage', 'float16'],
  ['torch.BFloat16Storage', 'bfloat16'],
  ['torch.DoubleStorage', 'float64'],
  ['torch.LongStorage', 'int64'],
  ['torch.IntStorage', 'int32'],
  ['torch.ShortStorage', 'int16'],
  ['torch.CharStorage', 'int8'],
  ['torch.ByteStorage', 'uint8'],
  ['torch.BoolStorage', 'bool'],
])

/** The whitelist: every name that a checkpoint's pickle may use. */
const GLOBALS: ReadonlyMap<string, PickleGlobal> = new Map(
  [
    ...[...STORAGES.keys()].map((name) => new PickleGlobal(name)),
    new PickleGlobal('torch._utils._rebuild_tensor_v2', rebuildTensor),
    new PickleGlobal('torch._utils._rebuild_parameter', rebuildParameter),
    new PickleGlobal('torch.Size', ([sizes]) => (sizes instanceof PickleTuple ? sizes : new PickleTuple([]))),
    new PickleGlobal('collections.OrderedDict', emptyDict),
  ].map((global) => [global.name, global]),
)

/** The whitelist for pickles of torch.save. It gathers the storages that a pickle refers to. */
export class TorchHost implements PickleHost {
  readonly storages = new Map<string, TorchStorage>()

  global(name: string): PickleGlobal | undefined {
    return GLOBALS.get(name)
  }

  /** `('storage', type, key, device, elements[, view])` */
  persistent(id: PickleValue): PickleValue {
    const [tag, type, key, , count, view] = id instanceof PickleTuple ? id.items : []
    const dtype = type instanceof PickleGlobal ? STORAGES.get(type.name) : undefined
    if (tag !== 'storage' || dtype === undefined || typeof key !== 'string' || !isCount(count))
      throw new Malformed('its pickle refers to a storage in an unknown way')
    if (view !== undefined && view !== null)
      throw new Malformed('its storages are views of each other, as PyTorch 0.3 wrote them: save it again')
    const known = this.storages.get(key)
    if (known === undefined) {
      const storage = new TorchStorage(key, dtype, count)
      this.storages.set(key, storage)
      return storage
    }
    if (known.dtype !== dtype || known.count !== count)
      throw new Malformed(`its storage ${quoted(key)} is described in two ways`)
    return known
  }
}

/**
 * Checks a tensor against its storage.
 *
 * @param start - offset of the storage in the file, in bytes
 * @throws {Malformed} if the tensor is not inside its storage, or repeats elements and so has more of them than the storage
 */
export function storedTensor(name: string, tensor: TorchTensor, start: number): StoredTensor {
  const { storage } = tensor
  const shape = axes(itemsOf(tensor.shape), 'shape')
  const strides = axes(itemsOf(tensor.strides), 'strides')
  if (strides.length !== shape.length) throw new Malformed('its strides do not fit its shape')
  if (!isCount(tensor.offset)) throw new Malformed('its offset is not a count')
  const end = tensor.offset + extent(shape, strides)
  if (end > storage.count)
    throw new Malformed(
      `${listed(shape)} ends at element ${end} of a storage of ${storage.count}: the file is damaged`,
    )
  // With a stride of 0 a single element can claim any size, and the engine allocates memory by the shape.
  if (elements(shape) > storage.count)
    throw new Malformed(`${listed(shape)} repeats its elements: save it after .contiguous()`)
  const offset = start + tensor.offset * DTYPE_BYTES[storage.dtype]
  return { name, dtype: storage.dtype, shape, strides, offset }
}

function itemsOf(value: PickleValue): unknown {
  return value instanceof PickleTuple || value instanceof PickleList ? value.items : value
}

/** `(storage, offset, shape, strides, requires_grad, hooks[, metadata])` */
function rebuildTensor(args: readonly PickleValue[]): TorchTensor {
  const [storage, offset, shape, strides] = args
  if (
    !(storage instanceof TorchStorage) ||
    offset === undefined ||
    shape === undefined ||
    strides === undefined
  )
    throw new Malformed('its pickle builds a tensor in an unknown way')
  return new TorchTensor(storage, offset, shape, strides)
}

/** `(tensor, requires_grad, hooks)` */
function rebuildParameter([tensor]: readonly PickleValue[]): TorchTensor {
  if (!(tensor instanceof TorchTensor)) throw new Malformed('its pickle builds a parameter in an unknown way')
  return tensor
}

/** Makes an `OrderedDict`. It is empty: the pickle sets its items afterwards. */
function emptyDict(args: readonly PickleValue[]): PickleDict {
  if (args.length > 0) throw new Malformed('its pickle builds an OrderedDict in an unknown way')
  return new PickleDict()
}
