import { FlowError } from '../errors.js'
import type { NativeModel } from '../native/contract.js'
import { awaitNative, callNative, type CallSite } from '../native/failure.js'
import { checkSignal, throwIfAborted, withSignal } from './abort.js'

const MAX_TICKET = 2 ** 31 - 1

/** The way to a network's thread, for the methods of one model and of its feature maps. */
export class CallQueue {
  readonly native: NativeModel
  readonly #inFlight = new Set<Promise<unknown>>()
  #ticket = 0
  #closed = false
  #end: Promise<void> | undefined

  constructor(native: NativeModel) {
    this.native = native
  }

  /** Whether `close` or `closeSync` was called. */
  get closed(): boolean {
    return this.#closed
  }

  /** What every call checks first. */
  check(options: object): void {
    if (this.#closed) throw new FlowError('ERR_DISPOSED', 'the model was disposed')
    if (typeof options !== 'object' || options === null)
      throw new FlowError('ERR_ARGUMENT', `options: is an object, not ${String(options)}`)
    const signal = 'signal' in options ? options.signal : undefined
    checkSignal(signal)
    throwIfAborted(signal)
  }

  /** Runs an asynchronous call that `close` waits for. */
  track<T>(call: () => Promise<T>): Promise<T> {
    const promise = call()
    this.#inFlight.add(promise)
    // The caller's is another promise: `close` waiting for this one must not make an error count as handled.
    return promise.finally(() => this.#inFlight.delete(promise))
  }

  /** Hands a call to the addon, to be cancelled if the signal fires before it starts. */
  call<T>(
    site: CallSite,
    signal: AbortSignal | undefined,
    call: (native: NativeModel, ticket: number) => Promise<T>,
  ): Promise<T> {
    throwIfAborted(signal)
    this.#ticket = (this.#ticket % MAX_TICKET) + 1
    const ticket = this.#ticket
    return withSignal(
      signal,
      () => this.native.cancel(ticket),
      () => awaitNative(site, () => call(this.native, ticket)),
    )
  }

  /** Waits for the calls in flight, then frees the network. Calls made later fail. */
  close(site: CallSite): Promise<void> {
    this.#closed = true
    this.#end ??= this.#finish(site)
    return this.#end
  }

  /** As {@link close}, but blocks. */
  closeSync(site: CallSite): void {
    this.#closed = true
    callNative(site, () => this.native.disposeSync())
  }

  async #finish(site: CallSite): Promise<void> {
    await Promise.allSettled(this.#inFlight)
    await awaitNative(site, () => this.native.dispose())
  }
}
