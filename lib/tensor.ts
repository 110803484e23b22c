import type { Call, CallQueue } from './calls/call-queue.js'
import { readingCall } from './calls/reading.js'
import { FlowError } from './errors.js'
import type { DLPackCapsule, NativeBytes, NativeCopy, NativeRange } from './native/contract.js'
import { loadAddon } from './native/addon.js'
import { callNative, callSite, type CallSite } from './native/failure.js'
import { allocateBytes, copyIfResizable, isResizable } from './support/allocate.js'
import { shown } from './support/quote.js'
import { isAddress, isHandle } from './tensor/address.js'
import { checkDLPack, dlpackType } from './tensor/dlpack.js'
import { checkCudaArray, type CudaArraySource, tightStrides, typestrOf } from './tensor/cuda-array.js'
import { dtypeRow, type TensorArrays, type TensorDType } from './tensor/dtype.js'
import { checkShape, countOf, extentOf, type Layout, rowsOf, tightLayout } from './tensor/layout.js'
import { checkShared, type SharedTensor } from './tensor/shared-tensor.js'
import { EngineMemory, HostMemory, type TensorDevice, type TensorMemory } from './tensor/memory.js'

/** How {@link FlowModel.createTensor} makes a tensor. */
export interface TensorOptions<D extends TensorDType = TensorDType> {
  /**
   * `'device'` is the memory that the engine computes in: a GPU's, or ordinary memory on a CPU. `'host'` is memory that JavaScript
   * sees as well; on a GPU it is page-locked, so that copies are quick. Default `'device'`.
   */
  readonly on?: 'device' | 'host' | undefined
  /**
   * The tensor is over this array's memory, instead of new memory. It has the values of the shape, row by row. In a
   * SharedArrayBuffer, tensors of several threads are over the same memory.
   */
  readonly data?: TensorArrays[D] | undefined
  /**
   * The tensor is over memory of the model's GPU that other code of this process allocated, from this address on, instead of new
   * memory. Its owner keeps it until the tensor is disposed and its calls are done. Without a `stream` it also waits for what it
   * writes before a call. A call with memory that was freed is refused.
   */
  readonly pointer?: bigint | undefined
  /**
   * The stream on which other code uses the tensor's memory on the GPU: a `CUstream` as an integer. `0n` and `1n` are the legacy
   * default stream, `2n` is the default stream of this thread. Nobody has to wait for that stream before a call: the GPU lets the
   * call's work begin when the stream has done what it had at the call. Work that the stream gets after the call's work is queued,
   * or when the call is settled, begins when that is done. The stream lives until the tensor's calls are settled, and is not being
   * captured.
   */
  readonly stream?: bigint | undefined
}

/** Options of {@link FlowModel.fromDLPack}. */
export interface DLPackOptions {
  /** The stream on which the other module uses the tensor's memory on the GPU, as {@link TensorOptions.stream}. */
  readonly stream?: bigint | undefined
}

/** Options of {@link Tensor.toHostSync}. */
export interface TensorReadSyncOptions<D extends TensorDType = TensorDType> {
  /**
   * Array that the values are written to. The call returns it instead of a new one. Only one call at a time may use it. Do not
   * transfer or resize its memory before the call is settled.
   */
  readonly into?: TensorArrays[D] | undefined
}

/** Options of {@link Tensor.toHost}. */
export interface TensorReadOptions<D extends TensorDType = TensorDType> extends TensorReadSyncOptions<D> {
  /** Cancels the call as long as its work has not started. */
  readonly signal?: AbortSignal | undefined
}

/** Options of {@link Tensor.copyFrom}. */
export interface TensorCopyOptions {
  /** Cancels the call as long as its work has not started. */
  readonly signal?: AbortSignal | undefined
}

/** What a tensor is made of. */
interface Parts<D extends TensorDType> {
  readonly queue: CallQueue
  readonly memory: TensorMemory
  readonly dtype: D
  readonly layout: Layout
  /** Bytes from the memory's first byte to the first value. */
  readonly offset: number
  readonly readOnly: boolean
}

/**
 * The memory of a tensor from its first value to its last, as requests name it.
 *
 * @throws {FlowError} `ERR_DISPOSED`
 */
export let placeOf: <D extends TensorDType>(tensor: Tensor<D>) => TensorArrays[D] | NativeRange

let create: <D extends TensorDType>(parts: Parts<D>) => Tensor<D>

/**
 * Values where they lie: in the memory of the engine, or of the host. `FlowModel.createTensor` makes one, and `FeatureMap.tensor`
 * is one over the features. Making one copies nothing.
 *
 * A tensor keeps its memory, also when the map or the model that it came from is disposed. Copies from it and to it are calls of
 * the model that made it: they run after all calls made before, and need the model. Dispose a tensor that is no longer needed.
 * The memory of a forgotten one is freed when the garbage collector finds it, which may be late.
 */
export class Tensor<D extends TensorDType = TensorDType> {
  readonly shape: readonly number[]
  /** Values from one index of an axis to the next. */
  readonly strides: readonly number[]
  readonly dtype: D
  /** `'cpu'` if the host sees the memory. */
  readonly device: TensorDevice
  /** Whether calls refuse to write to it, as to features, and to what another module gave as read only. Do not write to its `data` either. */
  readonly readOnly: boolean
  readonly #parts: Parts<D>
  #disposed = false

  private constructor(parts: Parts<D>) {
    this.#parts = parts
    this.shape = parts.layout.shape
    this.strides = parts.layout.strides
    this.dtype = parts.dtype
    this.device = parts.memory.device
    this.readOnly = parts.readOnly
  }

  /** Whether `dispose` was called. */
  get disposed(): boolean {
    return this.#disposed
  }

  /**
   * The address of the first value, for native modules. It is one of the tensor's device.
   *
   * @throws {FlowError} `ERR_DISPOSED`
   */
  get pointer(): bigint {
    this.#requireLive()
    const { memory, offset } = this.#parts
    return memory.pointer + BigInt(offset)
  }

  /**
   * The memory itself, from the first value to the last, without a copy. If `strides` have gaps, so has the array. It stays valid
   * when the tensor is disposed, and keeps the memory until it is collected.
   *
   * Null if JavaScript cannot look at the memory: a GPU's, and the engine's in runtimes that allow no arrays over memory of
   * others, as Electron does not. `toHost` copies from it.
   *
   * @throws {FlowError} `ERR_DISPOSED`
   */
  get data(): TensorArrays[D] | null {
    this.#requireLive()
    const { memory, offset, dtype, layout } = this.#parts
    const { bytes } = memory
    if (bytes === null) return null
    return dtypeRow(dtype).over(bytes.buffer, bytes.byteOffset + offset, extentOf(layout))
  }

  /**
   * Copies the values to the host, side by side, the last axis first. It runs after all calls that were made to the model before.
   *
   * @throws {FlowError} `ERR_DISPOSED` if the tensor or its model was disposed; `ERR_ARGUMENT` for an option; `ERR_ABORTED`;
   *   `ERR_OUT_OF_MEMORY`; `ERR_DEVICE`
   */
  toHost(options: TensorReadOptions<D> = {}): Promise<TensorArrays[D]> {
    return this.#parts.queue.submit(Tensor.prototype.toHost, this.#reading(options))
  }

  /**
   * As {@link toHost}, but blocks until this call and all calls made before it are done.
   *
   * @throws {FlowError} as `toHost`
   */
  toHostSync(options: TensorReadSyncOptions<D> = {}): TensorArrays[D] {
    return this.#parts.queue.run(Tensor.prototype.toHostSync, this.#reading(options))
  }

  /**
   * Copies values to the tensor: of another one of the same shape and type, on the host or on the same GPU, or of an array that has
   * them side by side. It runs after all calls that were made to the model before. If another model writes to `source`, wait for
   * that first. The promise gives the tensor itself.
   *
   * @throws {FlowError} `ERR_DISPOSED` if a tensor or the model was disposed; `ERR_ARGUMENT` for a source that does not fit, or
   *   overlaps the tensor; `ERR_ABORTED`; `ERR_DEVICE`
   */
  copyFrom(source: Tensor<D> | TensorArrays[D], options: TensorCopyOptions = {}): Promise<this> {
    return this.#parts.queue.submit(Tensor.prototype.copyFrom, this.#writing(source, options))
  }

  /**
   * As {@link copyFrom}, but blocks until this call and all calls made before it are done.
   *
   * @throws {FlowError} as `copyFrom`
   */
  copyFromSync(source: Tensor<D> | TensorArrays[D]): this {
    return this.#parts.queue.run(Tensor.prototype.copyFromSync, this.#writing(source, {}))
  }

  /**
   * The part from index `begin` to before `end` of the first axis, over the same memory. It is a tensor of its own, which keeps the
   * memory when this one is disposed.
   *
   * @param end default: the end of the axis
   * @throws {FlowError} `ERR_ARGUMENT` unless `0 <= begin < end <= shape[0]`; `ERR_DISPOSED`
   */
  slice(begin: number, end: number = this.shape[0]!): Tensor<D> {
    this.#requireLive()
    const [side, ...inner] = this.shape as readonly [number, ...number[]]
    if (!Number.isInteger(begin) || !Number.isInteger(end) || begin < 0 || begin >= end || end > side)
      throw new FlowError(
        'ERR_ARGUMENT',
        `slice: must be of at least one of 0 to ${side}, not from ${shown(begin)} to before ${shown(end)}`,
      )
    const { memory, offset, dtype } = this.#parts
    memory.retain()
    return create({
      ...this.#parts,
      layout: { shape: Object.freeze([end - begin, ...inner]), strides: this.strides },
      offset: offset + begin * this.strides[0]! * dtypeRow(dtype).bytes,
    })
  }

  /**
   * The tensor for another native module, over the same memory, without a copy: a capsule that it takes by
   * `include/dinov3_flow.h` of the package. The capsule keeps the memory when this tensor is disposed, until the other module calls
   * the tensor's deleter. Wait for the calls that write to it before.
   *
   * @throws {FlowError} `ERR_DISPOSED`; `ERR_ARGUMENT` for memory that is gone
   */
  toDLPack(): DLPackCapsule {
    this.#requireLive()
    const { queue, memory, offset, layout, dtype, readOnly } = this.#parts
    return callNative(callSite(Tensor.prototype.toDLPack), () =>
      queue.native.toDLPack({
        memory: withoutStream(memory.range(offset, this.#extent())),
        ...dlpackType(dtype),
        ...layout,
        readOnly,
      }),
    )
  }

  /**
   * What another process on this machine needs to open the tensor, by {@link FlowModel.openShared}: it is then over the same memory of
   * the GPU. Keep the tensor as long as others use it. They see what a call has written once the call is settled.
   *
   * @throws {FlowError} `ERR_ARGUMENT` for a tensor that is in the host's memory, another process's, or over memory that
   *   `cuMemAlloc` did not allocate; `ERR_DEVICE` if the GPU or its driver shares no memory; `ERR_DISPOSED`
   */
  share(): SharedTensor {
    this.#requireLive()
    const { queue, layout } = this.#parts
    const { shape, dtype, readOnly } = this
    if (this.device === 'cpu')
      throw new FlowError(
        'ERR_ARGUMENT',
        "share: processes share the memory of a GPU, and the tensor is in the host's: between threads, make tensors over one SharedArrayBuffer",
      )
    if (String(layout.strides) !== String(tightLayout(shape).strides))
      throw new FlowError('ERR_ARGUMENT', 'share: the tensor has gaps: copy it to one of createTensor')
    const bytes = dtypeRow(dtype).bytes * countOf(shape)
    const native = callNative(callSite(Tensor.prototype.share), () => queue.native.share(this.pointer, bytes))
    const { gpu, allocation, offset } = native
    return { version: 1, gpu, allocation: allocation.toString('hex'), offset, shape, dtype, readOnly }
  }

  /**
   * Gives the memory back once the calls that use it are done, unless another tensor or an array is over it. Calling it again does
   * nothing.
   */
  dispose(): void {
    if (this.#disposed) return
    this.#disposed = true
    this.#parts.memory.release()
  }

  [Symbol.dispose](): void {
    this.dispose()
  }

  #requireLive(): void {
    if (this.#disposed) throw new FlowError('ERR_DISPOSED', 'the tensor was disposed')
  }

  #reading(options: TensorReadOptions<D>): Call<TensorArrays[D]> {
    return readingCall(
      options,
      () => this.#target(options.into),
      (data) => ({ copy: copyOf(this.#side(), sideOf(data)) }),
    )
  }

  #writing(source: Tensor<D> | TensorArrays[D], options: TensorCopyOptions): Call<this> {
    return {
      options,
      frames: [],
      plan: () => {
        this.#requireLive()
        if (this.readOnly)
          throw new FlowError(
            'ERR_ARGUMENT',
            'copyFrom: the tensor is read only: copy to a tensor of your own',
          )
        const from =
          source instanceof Tensor
            ? this.#same(source).#side()
            : sideOf(copyIfResizable(this.#checkArray(source, 'source')))
        return { request: { copy: copyOf(from, this.#side()) }, answer: () => this }
      },
    }
  }

  /** The array that a call writes. */
  #target(into: TensorArrays[D] | undefined): TensorArrays[D] {
    this.#requireLive()
    if (into !== undefined) return this.#checkArray(into, 'into')
    const count = countOf(this.shape)
    const row = dtypeRow(this.dtype)
    return row.over(allocateBytes(count * row.bytes, 'the copy of a tensor').buffer, 0, count)
  }

  #checkArray(array: TensorArrays[D], name: string): TensorArrays[D] {
    return checkArray(array, this.dtype, this.shape, name)
  }

  #same(source: Tensor<D>): Tensor<D> {
    if (source.dtype !== this.dtype || String(source.shape) !== String(this.shape))
      throw new FlowError(
        'ERR_ARGUMENT',
        `source: is ${describe(source)}, and the tensor ${describe(this)}: both must be the same`,
      )
    return source
  }

  #side(): Side {
    this.#requireLive()
    const { memory, offset, dtype, layout } = this.#parts
    const { bytes } = dtypeRow(dtype)
    const { rows, length, step } = rowsOf(layout)
    return {
      bytes: memory.range(offset, this.#extent()),
      rows,
      rowBytes: bytes * length,
      step: bytes * step,
    }
  }

  /** Bytes from the first value to the end of the last one. */
  #extent(): number {
    const { dtype, layout } = this.#parts
    return dtypeRow(dtype).bytes * extentOf(layout)
  }

  static {
    create = (parts) => new Tensor(parts)
    placeOf = (tensor) => {
      tensor.#requireLive()
      const { memory, offset } = tensor.#parts
      return memory instanceof EngineMemory ? memory.range(offset, tensor.#extent()) : tensor.data!
    }
  }
}

/** A tensor as `FlowModel.createTensor` describes it. */
export function makeTensor<D extends TensorDType>(
  queue: CallQueue,
  site: CallSite,
  shape: readonly number[],
  dtype: D,
  options: TensorOptions<D>,
  readOnly = false,
): Tensor<D> {
  const layout = tightLayout(checkShape(shape))
  const bytes = dtypeRow(dtype).bytes * countOf(layout.shape)
  const { on = 'device', data, pointer, stream } = options
  if (on !== 'device' && on !== 'host')
    throw new FlowError('ERR_ARGUMENT', `on: must be 'device' or 'host', not ${shown(on)}`)
  if (bytes > Number.MAX_SAFE_INTEGER)
    throw new FlowError('ERR_OUT_OF_MEMORY', `a tensor takes ${bytes} bytes: there is no room for it`)
  if (stream !== undefined) checkStream(stream)
  if (pointer !== undefined) {
    if (data !== undefined)
      throw new FlowError('ERR_ARGUMENT', 'pointer: and data are both given: give one of them')
    const native = callNative(site, () => queue.native.adopt(checkPointer(pointer, dtype), bytes))
    const memory = new EngineMemory(native, stream)
    const offset = Number(pointer - memory.pointer)
    return create({ queue, memory, dtype, layout, offset, readOnly })
  }
  const memory = data === undefined ? allocate() : over(checkArray(data, dtype, layout.shape, 'data'))
  if (stream !== undefined && memory.device === 'cpu') throw streamOnHost()
  return create({ queue, memory, dtype, layout, offset: 0, readOnly: false })

  function allocate(): TensorMemory {
    const users = stream === undefined ? 'engine' : 'others'
    const native =
      on === 'device' ? callNative(site, () => queue.native.allocateDevice(bytes, users)) : undefined
    if (native !== undefined) return new EngineMemory(native, stream)
    const buffer = on === 'host' ? callNative(site, () => queue.native.allocate(bytes)) : undefined
    return new HostMemory(buffer === undefined ? allocateBytes(bytes, 'a tensor') : new Uint8Array(buffer))
  }
}

/** The tensor in a capsule of another module. */
export function borrowTensor(
  queue: CallQueue,
  site: CallSite,
  capsule: DLPackCapsule,
  expected: TensorDType | undefined,
  { stream }: DLPackOptions,
): Tensor {
  if (stream !== undefined) checkStream(stream)
  return callNative(site, () => {
    const { dtype, layout, bytes, readOnly, onHost } = checkDLPack(loadAddon().describeDLPack(capsule))
    if (expected !== undefined && dtype !== expected)
      throw new FlowError('ERR_ARGUMENT', `capsule: its tensor has values of ${dtype}, not of ${expected}`)
    if (stream !== undefined && onHost) throw streamOnHost()
    const memory = new EngineMemory(queue.native.borrow(capsule, bytes), stream)
    return create({ queue, memory, dtype, layout, offset: 0, readOnly })
  })
}

/** A tensor of another process. */
export function openTensor(queue: CallQueue, site: CallSite, value: unknown): Tensor {
  const { gpu, allocation, offset, shape, dtype, readOnly } = checkShared(value)
  const bytes = dtypeRow(dtype).bytes * countOf(shape)
  const name = Buffer.from(allocation, 'hex')
  const memory = new EngineMemory(callNative(site, () => queue.native.openShared(gpu, name, offset, bytes)))
  return create({ queue, memory, dtype, layout: tightLayout(shape), offset, readOnly })
}

const TYPESTRS: Readonly<Record<string, TensorDType>> = { '<f4': 'float32', '<f2': 'float16', '|u1': 'uint8' }

/** A tensor over an array of the model's GPU. */
export function tensorOfArray(queue: CallQueue, site: CallSite, source: CudaArraySource): Tensor {
  const fail = (message: string): never => {
    throw new FlowError('ERR_ARGUMENT', `array: ${message}`)
  }
  const typestr = typestrOf(source)
  if (typeof typestr !== 'string' || !Object.hasOwn(TYPESTRS, typestr))
    fail(`its typestr must be one of ${Object.keys(TYPESTRS).join(', ')}, not ${shown(typestr)}`)
  const dtype = TYPESTRS[typestr as string]!
  const { bytes } = dtypeRow(dtype)
  const { pointer, shape, strides, readOnly, stream } = checkCudaArray(source, bytes, fail)
  if (String(strides) !== String(tightStrides(shape, bytes)))
    fail(`its strides are ${strides.join(', ')} bytes: its values must lie side by side, the last axis first`)
  return makeTensor(queue, site, shape, dtype, { pointer, stream }, readOnly)
}

function checkStream(stream: bigint): void {
  if (!isHandle(stream))
    throw new FlowError('ERR_ARGUMENT', `stream: must be a handle as a bigint, not ${shown(stream)}`)
}

function streamOnHost(): FlowError {
  return new FlowError(
    'ERR_ARGUMENT',
    'stream: is for memory of a GPU, and the tensor is in memory of the host',
  )
}

function checkPointer(pointer: bigint, dtype: TensorDType): bigint {
  const { bytes } = dtypeRow(dtype)
  if (!isAddress(pointer))
    throw new FlowError('ERR_ARGUMENT', `pointer: must be an address as a bigint, not ${shown(pointer)}`)
  if (pointer % BigInt(bytes) !== 0n)
    throw new FlowError(
      'ERR_ARGUMENT',
      `pointer: must be a multiple of ${bytes} for values of ${dtype}, not ${pointer}`,
    )
  return pointer
}

function over(data: TensorArrays[TensorDType]): TensorMemory {
  if (isResizable(data))
    throw new FlowError(
      'ERR_ARGUMENT',
      'data: is in a resizable ArrayBuffer, which may shrink: give another array',
    )
  return new HostMemory(bytesOf(data))
}

/** A tensor of float32 over rows of the engine's memory, which nobody writes to. */
export function readOnlyTensor(
  queue: CallQueue,
  memory: TensorMemory,
  shape: readonly number[],
  stride: number,
): Tensor<'float32'> {
  const inner = shape.slice(1, -1)
  const strides = [...shape.slice(0, -1).map((_, axis) => countOf(inner.slice(axis)) * stride), 1]
  const layout = { shape: Object.freeze([...shape]), strides: Object.freeze(strides) }
  return create({ queue, memory, dtype: 'float32', layout, offset: 0, readOnly: true })
}

/** For what is no work of the engine. */
function withoutStream(memory: NativeBytes): NativeBytes {
  return 'pointer' in memory ? { ...memory, stream: undefined } : memory
}

/** One side of a copy: rows of bytes. */
interface Side {
  readonly bytes: NativeCopy['from']
  readonly rows: number
  readonly rowBytes: number
  readonly step: number
}

function sideOf(array: TensorArrays[TensorDType]): Side {
  const bytes = bytesOf(array)
  return { bytes, rows: 1, rowBytes: bytes.length, step: bytes.length }
}

/** Both sides have the same values. A side without gaps is rows of any length. */
function copyOf(from: Side, to: Side): NativeCopy {
  const { rows, rowBytes } = from.rows > to.rows ? from : to
  const stepOf = (side: Side) => (side.rows === rows ? side.step : rowBytes)
  return { from: from.bytes, to: to.bytes, rows, rowBytes, fromStep: stepOf(from), toStep: stepOf(to) }
}

function bytesOf({ buffer, byteOffset, byteLength }: TensorArrays[TensorDType]): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength)
}

function checkArray<D extends TensorDType>(
  array: TensorArrays[D],
  dtype: D,
  shape: readonly number[],
  name: string,
): TensorArrays[D] {
  const row = dtypeRow(dtype)
  if (!row.is(array))
    throw new FlowError('ERR_ARGUMENT', `${name}: must be a ${row.name}, for values of ${dtype}`)
  const count = countOf(shape)
  if (array.length !== count)
    throw new FlowError(
      'ERR_ARGUMENT',
      `${name}: has ${array.length} values, and a tensor of ${shape.join(' x ')} has ${count}: give an array of that length`,
    )
  return array
}

function describe({ shape, dtype }: Tensor): string {
  return `${shape.join(' x ')} of ${dtype}`
}
