import type { SizeOption } from './request.js'
import type { PatchGrid } from './size.js'

/**
 * What computes the backbone: the package's kernels, TensorRT if it computes the same as they do, or the faster of both.
 *
 * @useDeclaredType
 */
export type BackboneEngine = (typeof BACKBONE_ENGINES)[number]

export const BACKBONE_ENGINES = ['kernels', 'auto', 'tensorrt'] as const

/** How a size is prepared. */
export interface PrepareOptions extends SizeOption {
  /** Ends a build. */
  readonly signal?: AbortSignal | undefined
  /** Called from time to time during a build. If it throws, the build ends and `prepare` rejects with that error. */
  readonly onProgress?: ((progress: PrepareProgress) => void) | undefined
}

/** Progress of `prepare`. */
export interface PrepareProgress {
  /** TensorRT builds an engine, which takes minutes. */
  readonly phase: 'build'
  /** 0 to 1. */
  readonly share: number
}

/** A size that was prepared. Plain data, fit for JSON. */
export interface Prepared {
  /** The patches of its frames. */
  readonly grid: PatchGrid
  /** What computes the backbone for this grid. */
  readonly backboneEngine: 'kernels' | 'tensorrt'
  /** Reason why TensorRT, which was asked for, is not used; null if it is, or was not asked for. */
  readonly reason: string | null
  /** How its engine did beside the kernels; null if there is no such engine. */
  readonly tensorrt: TensorRTTrial | null
}

/** An engine of TensorRT, beside the kernels. */
export interface TensorRTTrial {
  /** TensorRT's version, such as `10.16.1`. */
  readonly version: string
  /**
   * Cosine of the features of TensorRT and of the kernels, for a picture and for noise. Below 0.9995 the engine is not used. Null
   * if they are not finite.
   */
  readonly cosines: readonly (number | null)[]
  /** Milliseconds of one pass of the backbone. */
  readonly milliseconds: { readonly kernels: number; readonly tensorrt: number }
  /** Whether the engine was built by this call. Else it was found in the cache. */
  readonly built: boolean
}
