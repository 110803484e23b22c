import { FlowError } from '../errors.js'
import { checkDecoded, checkFrame, checkKept, type DecodedFrame, type FrameSource, isFile } from '../frame.js'
import { decodeForCall } from '../image/decode.js'
import type {
  FeatureId,
  NativeCopyRequest,
  NativeFrame,
  NativeModel,
  NativeRequest,
  NativeResult,
} from '../native/contract.js'
import { awaitNative, callNative, type CallSite, callSite } from '../native/failure.js'
import { checkOptions } from '../support/arguments.js'
import { checkSignal, throwIfAborted, withSignal } from './abort.js'
import { Scheduler } from './scheduler.js'

const MAX_TICKET = 2 ** 31 - 1

/** Options that every asynchronous call has. */
export interface CallOptions {
  readonly signal?: AbortSignal | undefined
}

/** A frame among the arguments of a call. */
export interface NamedFrame {
  readonly source: FrameSource
  /** Its name in messages. */
  readonly name: string
}

/** A request, and how its result becomes the answer of the call. */
export interface Plan<T> {
  readonly request: NativeRequest | NativeCopyRequest
  answer(result: NativeResult): T
}

/** A public call, before its frames are decoded. */
export interface Call<T> {
  readonly options: CallOptions
  readonly frames: readonly NamedFrame[]
  /** Checks the arguments and allocates the results. Starts nothing. Throws FlowErrors. */
  plan(frames: readonly NativeFrame[]): Plan<T>
}

/** A public method. Errors get the stack of its caller. */
type Entry = (...args: never[]) => unknown

/** Sends the calls of a model, its feature maps and its streams to the network's thread. */
export class CallQueue {
  readonly native: NativeModel
  /** Lets the streams of the model take turns. */
  readonly scheduler: Scheduler
  readonly #inFlight = new Set<Promise<unknown>>()
  #ticket = 0
  #featureId = 0
  #closed = false
  #end: Promise<void> | undefined

  constructor(native: NativeModel, partsInFlight: number) {
    this.native = native
    this.scheduler = new Scheduler(partsInFlight)
  }

  /** Whether `close` or `closeSync` was called. */
  get closed(): boolean {
    return this.#closed
  }

  /** A name for features that are to be kept. */
  nextFeatureId(): FeatureId {
    return ++this.#featureId
  }

  /** The check that every call begins with. */
  check(options: object): void {
    if (this.#closed) throw new FlowError('ERR_DISPOSED', 'the model was disposed')
    checkOptions(options)
    const signal = 'signal' in options ? options.signal : undefined
    checkSignal(signal)
    throwIfAborted(signal)
  }

  /** Runs a call without blocking. Calls with decoded frames keep the order in which they were made. */
  submit<T>(entry: Entry, call: Call<T>): Promise<T> {
    const site = callSite(entry)
    return this.track(async () => {
      this.check(call.options)
      const frames = call.frames.some(({ source }) => isFile(source))
        ? await Promise.all(call.frames.map(decode))
        : call.frames.map(({ source, name }) => checkFrame(source as DecodedFrame, name))
      const checkAllKept = () => {
        for (const [i, { name }] of call.frames.entries()) checkKept(frames[i]!, name)
      }
      checkAllKept() // decoding one frame may take time
      const { request, answer } = call.plan(frames)
      const result = await this.send(site, call.options.signal, request)
      checkAllKept()
      return answer(result)
    })
  }

  /** Runs a call, and blocks until it and every call before it are done. */
  run<T>(entry: Entry, call: Call<T>): T {
    const site = callSite(entry)
    this.check(call.options)
    const { request, answer } = call.plan(call.frames.map(({ source, name }) => checkDecoded(source, name)))
    return answer(callNative(site, () => this.native.run(request)))
  }

  /** Hands a request to the addon. It is cancelled if the signal fires before it starts. */
  send(
    site: CallSite,
    signal: AbortSignal | undefined,
    request: NativeRequest | NativeCopyRequest,
  ): Promise<NativeResult> {
    throwIfAborted(signal)
    this.#ticket = (this.#ticket % MAX_TICKET) + 1
    const ticket = this.#ticket
    return withSignal(
      signal,
      () => this.native.cancel(ticket),
      () => awaitNative(site, () => this.native.submit(request, ticket)),
    )
  }

  /** Runs work that `close` waits for. */
  track<T>(work: () => Promise<T>): Promise<T> {
    const promise = work()
    this.#inFlight.add(promise)
    // `close` waits for this promise, so its errors count as handled. The caller gets another one, whose errors do not.
    return promise.finally(() => this.#inFlight.delete(promise))
  }

  /** Waits for the calls in flight, then frees the network. Calls made later fail. */
  close(site: CallSite): Promise<void> {
    this.#closed = true
    this.scheduler.close()
    this.#end ??= this.#finish(site)
    return this.#end
  }

  /** Like {@link close}, but blocks. */
  closeSync(site: CallSite): void {
    this.#closed = true
    this.scheduler.close()
    callNative(site, () => this.native.disposeSync())
  }

  async #finish(site: CallSite): Promise<void> {
    await Promise.allSettled(this.#inFlight)
    await awaitNative(site, () => this.native.dispose())
  }
}

async function decode({ source, name }: NamedFrame): Promise<NativeFrame> {
  return isFile(source) ? decodeForCall(source, name) : checkFrame(source, name)
}
