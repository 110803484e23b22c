import type { FlowField } from '../flow-field.js'
import {
  type Filled,
  fillFields,
  fillTensors,
  type FlowMapOptions,
  type FlowMaps,
  makeMaps,
  makeTensorMaps,
  type TensorMaps,
} from '../request.js'
import type { OutputSize } from '../size.js'
import type { Tensor } from '../tensor.js'
import type { CallQueue } from './call-queue.js'

/** Makes the maps of a stream's results, and names them in its requests. */
export interface ResultMaker<Maps extends FlowMaps | TensorMaps> {
  /** Throws a FlowError for an `into` that is not for maps of that size. */
  make(size: OutputSize, into?: Maps['flow']): Maps
  fill(maps: Maps): Filled<Maps>
  /** Whether maps of an earlier result may be written again. */
  fits(maps: Maps, size: OutputSize): boolean
  /** Frees maps of an earlier result that nobody has any more. */
  free(maps: Maps): void
}

/** @param makeField gives the memory of a flow */
export function fieldMaker(
  wanted: FlowMapOptions,
  makeField: (width: number, height: number) => FlowField,
): ResultMaker<FlowMaps> {
  return {
    make: (size, into) => makeMaps(wanted, size, makeField, into),
    fill: fillFields,
    fits: ({ flow }, { width, height }) => flow.width === width && flow.height === height,
    free: () => undefined, // the garbage collector does
  }
}

/** Maps in the memory that the engine computes in. */
export function tensorMaker(wanted: FlowMapOptions, calls: CallQueue): ResultMaker<TensorMaps> {
  return {
    make: (size, into) => makeTensorMaps(calls, wanted, size, into),
    fill: fillTensors,
    fits: (maps, { width, height }) =>
      maps.flow.shape[1] === height &&
      maps.flow.shape[2] === width &&
      tensorsOf(maps).every(({ disposed }) => !disposed),
    free: (maps) => tensorsOf(maps).forEach((tensor) => tensor.dispose()),
  }
}

const tensorsOf = (maps: TensorMaps): readonly Tensor[] => Object.values(maps)

/** The memory of the last results, which is written again. */
export class ResultRing<Maps extends FlowMaps | TensorMaps> {
  readonly #maker: ResultMaker<Maps>
  readonly #size: number
  #ring: Maps[] = []
  /** Maps that nothing was written to. */
  readonly #spare: Maps[] = []

  /** @param inFlight how many frames of the stream may be computed at a time */
  constructor(maker: ResultMaker<Maps>, inFlight: number) {
    this.#maker = maker
    // So many results may be given in one turn of the event loop, and so many frames start before the consumer reads them. Or the
    // consumer has one, and the buffer of `node()` another one.
    this.#size = Math.max(2 * inFlight, inFlight + 2)
  }

  /** The oldest maps, which nobody has any more. If they are of another size, new ones instead. */
  next(size: OutputSize): Maps {
    const oldest = this.#spare.pop() ?? (this.#ring.length === this.#size ? this.#ring.shift() : undefined)
    const fits = oldest !== undefined && this.#maker.fits(oldest, size)
    if (oldest !== undefined && !fits) this.#maker.free(oldest)
    const maps = fits ? oldest : this.#maker.make(size)
    this.#ring.push(maps)
    return maps
  }

  /** Takes back maps of a frame that has failed, so that they do not push out a result that somebody has. */
  giveBack(maps: Maps): void {
    const at = this.#ring.indexOf(maps)
    if (at !== -1) this.#spare.push(...this.#ring.splice(at, 1))
  }
}
