import { quoted } from '../support/quote.js'
import { isCount } from './layout.js'
import { Malformed } from './malformed.js'
import {
  PickleDict,
  PickleGlobal,
  PickleList,
  PickleObject,
  PickleOpaque,
  PickleTuple,
} from './pickle-values.js'
import type { PickleValue } from './pickle-values.js'
import type { PickleHost } from './pickle.js'
import { DTYPE_BYTES, type DType } from './tensor.js'

/** A contiguous run of elements. Tensors are views of it. */
export class TorchStorage extends PickleObject {
  constructor(
    readonly key: string,
    /** uint8 for a storage without a type; then the tensor has one. */
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

/** A tensor as the pickle describes it; `storedTensors` checks it. */
export class TorchTensor extends PickleObject {
  constructor(
    readonly dtype: DType,
    readonly shape: PickleValue,
    /** The place of the values, or the reason why they cannot be read. */
    readonly data: TorchView | { readonly unreadable: string },
  ) {
    super()
  }
}

interface TorchView {
  readonly storage: TorchStorage
  readonly offset: PickleValue
  readonly strides: PickleValue
  readonly negated: boolean
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
  ['torch.ComplexFloatStorage', 'complex64'],
  ['torch.ComplexDoubleStorage', 'complex128'],
  // Quantised: only their size matters, which the old format needs to find the next storage.
  ['torch.QInt8Storage', 'int8'],
  ['torch.QUInt8Storage', 'uint8'],
  ['torch.QInt32Storage', 'int32'],
  ['torch.QUInt4x2Storage', 'uint8'],
  ['torch.QUInt2x4Storage', 'uint8'],
  ['torch.UntypedStorage', 'uint8'],
  ['torch.storage.UntypedStorage', 'uint8'],
  ['torch.storage._UntypedStorage', 'uint8'],
])

/** PyTorch's dtype objects. One that is not here is read as `other`. */
const DTYPES: ReadonlyMap<string, DType> = new Map<string, DType>([
  ...(Object.keys(DTYPE_BYTES) as DType[])
    .filter((name) => name !== 'other')
    .map((name) => [`torch.${name}`, name] as const),
  ['torch.half', 'float16'],
  ['torch.float', 'float32'],
  ['torch.double', 'float64'],
  ['torch.float8_e4m3fn', 'float8_e4m3'],
  ['torch.float8_e8m0fnu', 'float8_e8m0'],
])

type Construct = (args: readonly PickleValue[]) => PickleValue

/** Functions that make a tensor of a storage, by name. */
const REBUILDS: readonly (readonly [
  name: string,
  construct: (args: readonly PickleValue[]) => TorchTensor,
])[] = [
  ['torch._utils._rebuild_tensor', rebuildTensor],
  ['torch._utils._rebuild_tensor_v2', rebuildTensor],
  ['torch._utils._rebuild_tensor_v3', rebuildTensorOfType],
  ['torch._utils._rebuild_parameter', rebuildParameter],
  ['torch._utils._rebuild_parameter_with_state', rebuildParameter],
  // (storage, offset, size, stride, quantizer, ...)
  [
    'torch._utils._rebuild_qtensor',
    ([, , shape]) => unreadable('is quantised: save it after .dequantize()', shape),
  ],
  // (layout, (indices, values, size, ...))
  ['torch._utils._rebuild_sparse_tensor', ([, parts]) => unreadable(SPARSE, listOf(parts)?.[2])],
  // (layout, (compressed, plain, values, size))
  ['torch._utils._rebuild_sparse_csr_tensor', ([, parts]) => unreadable(SPARSE, listOf(parts)?.[3])],
  ['torch._utils._rebuild_nested_tensor', () => unreadable('is a nested tensor: save its parts one by one')],
  // (dtype, size, stride, requires_grad)
  [
    'torch._utils._rebuild_meta_tensor_no_storage',
    ([dtype, shape]) =>
      unreadable(
        'has no values, as it was saved from the meta device: load the weights before saving',
        shape,
        dtype,
      ),
  ],
]
const SPARSE = 'is sparse: save it after .to_dense()'
const REBUILD_BY_NAME = new Map(REBUILDS)

/** The whitelist: every name that has a meaning in a checkpoint's pickle. */
const GLOBALS: ReadonlyMap<string, PickleGlobal> = new Map(
  [
    ...[...STORAGES.keys(), ...DTYPES.keys(), 'torch.Tensor', 'torch._tensor.Tensor'].map(
      (name) => [name] as const,
    ),
    ...['torch.nn.parameter.Parameter', 'torch.nn.parameter.Buffer'].map((name) => [name] as const),
    ...REBUILDS,
    ['torch._tensor._rebuild_from_type_v2', rebuildFromType] as const,
    ['torch._tensor._rebuild_from_type', rebuildFromType] as const,
    ['torch.tensor._rebuild_from_type', rebuildFromType] as const,
    ['torch.Size', ([sizes]: readonly PickleValue[]) => new PickleTuple(listOf(sizes) ?? [])] as const,
    ['collections.OrderedDict', makeDict] as const,
    ['collections.Counter', makeDict] as const,
    // (factory[, items])
    [
      'collections.defaultdict',
      ([, from]: readonly PickleValue[]) => makeDict(from === undefined ? [] : [from]),
    ] as const,
    ['builtins.dict', makeDict] as const,
    ['__builtin__.dict', makeDict] as const,
  ].map(([name, construct]: readonly [string, Construct?]) => [name, new PickleGlobal(name, construct)]),
)

/** The whitelist for pickles of torch.save. It gathers the storages that a pickle refers to. */
export class TorchHost implements PickleHost {
  readonly storages = new Map<string, TorchStorage>()

  global(name: string): PickleGlobal | undefined {
    const known = GLOBALS.get(name)
    if (known !== undefined || !/^torch(\.\w+)*\._rebuild_\w+$/.test(name)) return known
    return new PickleGlobal(name, () =>
      unreadable(`is of a kind that only ${quoted(name)} can make: save it as a plain tensor`),
    )
  }

  /** `('storage', type, key, device, elements[, view])`, and in the old format `('module', class, file, source)` */
  persistent(id: PickleValue): PickleValue {
    const [tag, type, key, , count, view] = id instanceof PickleTuple ? id.items : []
    if (tag === 'module' && type instanceof PickleOpaque) return type
    const named = type instanceof PickleGlobal || type instanceof PickleOpaque ? type.name : undefined
    if (tag !== 'storage' || named === undefined || typeof key !== 'string' || !isCount(count))
      throw new Malformed('its pickle refers to a storage in an unknown way')
    if (view !== undefined && view !== null)
      throw new Malformed('its storages are views of each other, as PyTorch 0.3 wrote them', 'save it again')
    const dtype = STORAGES.get(named) ?? 'other'
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

function dependsOn({ name }: PickleOpaque): string {
  return `depends on an object of ${quoted(name)}: save it as a plain tensor`
}

function unreadable(reason: string, shape: PickleValue = null, dtype: PickleValue = null): TorchTensor {
  return new TorchTensor(dtypeOf(dtype), shape, { unreadable: reason })
}

/** The items of a list or tuple; undefined for anything else. */
export function listOf(value: PickleValue | undefined): readonly PickleValue[] | undefined {
  return value instanceof PickleTuple || value instanceof PickleList ? value.items : undefined
}

function dtypeOf(value: PickleValue): DType {
  return value instanceof PickleGlobal ? (DTYPES.get(value.name) ?? 'other') : 'other'
}

/** `(storage, offset, shape, strides, requires_grad, hooks[, metadata])`; the first version ends with the strides. */
function rebuildTensor(args: readonly PickleValue[]): TorchTensor {
  const dtype = args[0] instanceof TorchStorage ? args[0].dtype : 'other'
  return view(args, dtype, args[6])
}

/** `(storage, offset, shape, strides, requires_grad, hooks, dtype[, metadata])`; the storage has no type. */
function rebuildTensorOfType(args: readonly PickleValue[]): TorchTensor {
  return view(args, dtypeOf(args[6] ?? null), args[7])
}

function view(args: readonly PickleValue[], dtype: DType, metadata: PickleValue | undefined): TorchTensor {
  const [storage, offset, shape, strides] = args
  if (offset === undefined || shape === undefined || strides === undefined)
    throw new Malformed('its pickle builds a tensor in an unknown way')
  if (storage instanceof PickleOpaque) return unreadable(dependsOn(storage), shape)
  if (!(storage instanceof TorchStorage)) throw new Malformed('its pickle builds a tensor in an unknown way')
  if (metadata === undefined || metadata === null)
    return new TorchTensor(dtype, shape, { storage, offset, strides, negated: false })
  // The bits of lazy views: "neg", and "conj" which changes complex numbers only.
  if (!(metadata instanceof PickleDict)) return unreadable('has metadata of an unknown kind', shape)
  const negated = Boolean(metadata.entries.get('neg'))
  return new TorchTensor(dtype, shape, { storage, offset, strides, negated })
}

/** `(tensor, requires_grad, hooks[, state])` */
function rebuildParameter([tensor]: readonly PickleValue[]): TorchTensor {
  if (tensor instanceof TorchTensor) return tensor
  if (tensor instanceof PickleOpaque) return unreadable(dependsOn(tensor))
  throw new Malformed('its pickle builds a parameter in an unknown way')
}

/**
 * `(function, class, arguments, state)`: a tensor with attributes, or of a class of its own. Attributes change no value. A
 * class may: it says how its bytes are meant.
 */
function rebuildFromType([rebuild, type, args]: readonly PickleValue[]): TorchTensor {
  const construct = rebuild instanceof PickleGlobal ? REBUILD_BY_NAME.get(rebuild.name) : undefined
  const tensor = construct?.(listOf(args) ?? [])
  if (type instanceof PickleGlobal && tensor !== undefined) return tensor
  const name = type instanceof PickleGlobal || type instanceof PickleOpaque ? type.name : 'unknown'
  const reason = `is of the class ${quoted(name)}: save it as a plain tensor`
  return unreadable(reason, tensor?.shape)
}

/** Makes a dict of another one or of pairs. Often there are none: the pickle sets the items afterwards. */
function makeDict([from]: readonly PickleValue[]): PickleDict {
  if (from instanceof PickleDict) return from
  const dict = new PickleDict()
  for (const pair of listOf(from) ?? []) {
    const [key, value] = listOf(pair) ?? []
    if (key !== undefined && value !== undefined) dict.entries.set(key, value)
  }
  return dict
}
