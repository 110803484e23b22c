import { FlowError } from '../errors.js'
import { loadAddon } from '../native/addon.js'
import type { NativeBytes, NativeMemory, NativeRange } from '../native/contract.js'

/** Where a tensor's memory is: the host's, or that of the GPU of index N. */
export type TensorDevice = 'cpu' | `cuda:${number}`

/** Memory that tensors share. */
export interface TensorMemory {
  readonly device: TensorDevice
  /** The address of its first byte. */
  readonly pointer: bigint
  /** All of its bytes; null if the host cannot look at them. */
  readonly bytes: Uint8Array | null
  /** A part of it, as requests name it. */
  range(offset: number, bytes: number): NativeBytes
  /** One more tensor uses it. */
  retain(): void
  /** One of the tensors was disposed. */
  release(): void
}

/** Memory of JavaScript, or of the engine as JavaScript sees it. It lives as long as anyone has an array over it. */
export class HostMemory implements TensorMemory {
  readonly device = 'cpu'
  readonly #bytes: Uint8Array

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
  }

  /** @throws {FlowError} `ERR_ARGUMENT` if the memory is gone */
  get bytes(): Uint8Array {
    if (this.#bytes.length === 0)
      throw new FlowError(
        'ERR_ARGUMENT',
        'the ArrayBuffer of the tensor was transferred: make another tensor',
      )
    return this.#bytes
  }

  get pointer(): bigint {
    return loadAddon().addressOf(this.bytes)
  }

  range(offset: number, bytes: number): NativeBytes {
    return this.bytes.subarray(offset, offset + bytes)
  }

  retain(): void {}
  release(): void {}
}

/** Memory of the engine. The last tensor that is disposed gives it back, or else the garbage collector does. */
export class EngineMemory implements TensorMemory {
  readonly device: TensorDevice
  readonly #native: NativeMemory
  readonly #stream: bigint | undefined
  #users = 1
  #bytes: Uint8Array | null | undefined

  /** @param stream of other code that uses the memory */
  constructor(native: NativeMemory, stream?: bigint) {
    this.#native = native
    this.#stream = stream
    this.device = native.gpu === undefined ? 'cpu' : `cuda:${native.gpu}`
  }

  get pointer(): bigint {
    return this.#native.pointer
  }

  get bytes(): Uint8Array | null {
    if (this.#bytes === undefined) {
      const buffer = this.#native.view()
      this.#bytes = buffer === undefined ? null : new Uint8Array(buffer)
    }
    return this.#bytes
  }

  range(offset: number, bytes: number): NativeRange {
    return {
      pointer: this.#native.pointer + BigInt(offset),
      bytes,
      owner: this.#native.owner,
      stream: this.#stream,
    }
  }

  retain(): void {
    this.#users++
  }

  release(): void {
    if (--this.#users > 0) return
    this.#bytes = null // whoever has an array over the memory keeps it
    this.#native.release()
  }
}
