import type { FeatureMap } from '../../feature-map.js'
import type { FlowField } from '../../flow-field.js'
import type { FlowModel } from '../../model.js'
import type { FlowSize } from '../../size.js'
import type { Refine } from '../../refine.js'
import { prepareModel } from '../model-options.js'
import type { Progress } from '../run/progress.js'
import type { Pair } from './datasets/dataset.js'
import type { ReadPair } from './read-pair.js'

/**
 * Computes the flow of pairs. The second frame of a pair is mostly the first one of the next, so its features are kept: that is one
 * backbone pass for each frame of a sequence.
 */
export class Predictor {
  readonly #model: FlowModel
  readonly #progress: Progress
  readonly #options: { readonly size: FlowSize; readonly refine: Refine }
  #kept: { readonly path: string; readonly features: FeatureMap } | undefined

  constructor(
    model: FlowModel,
    options: { readonly size: FlowSize; readonly refine: Refine },
    progress: Progress,
  ) {
    this.#model = model
    this.#progress = progress
    this.#options = options
  }

  async flow(pair: Pair, { first, second }: ReadPair): Promise<FlowField> {
    for (const frame of [first, second])
      await prepareModel(this.#model, frame, this.#options.size, this.#progress)
    const before = this.#kept
    this.#kept = undefined
    const reused = before?.path === pair.first ? before.features : undefined
    if (reused === undefined) before?.features.dispose()
    const from = reused ?? (await this.#model.features(first, this.#options))
    try {
      const to = await this.#model.features(second, this.#options)
      this.#kept = { path: pair.second, features: to }
      const { refine } = this.#options
      return await this.#model.flowFromFeatures(from, to, { refine })
    } finally {
      from.dispose()
    }
  }
}
