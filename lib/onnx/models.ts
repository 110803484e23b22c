import type { Normalization } from '../checkpoint/normalization.js'
import type { OpenModel } from '../checkpoint/open-model.js'
import { provenance } from '../checkpoint/provenance.js'
import { Weights } from '../checkpoint/weights.js'
import type { RopePeriods } from '../load.js'
import { resolveGrid } from '../size.js'
import { type BackbonePart, buildBackbone } from './backbone.js'
import type { Dimension, ModelContent } from './format.js'
import { type ExportPrecision, Graph } from './graph.js'
import type { GraphGrid } from './grid.js'
import { buildHead, type HeadPart } from './head.js'

/** What the models that are exported have in common. */
export interface ModelOptions {
  /** Height and width of the pictures, multiples of the patch; or pictures of any such size. */
  readonly size: readonly [height: number, width: number] | 'dynamic'
  readonly precision: ExportPrecision
  /** Whether pictures come as RGB in 0..255 and are normalised by the model, or come normalised. */
  readonly normalisation: 'inside' | 'outside'
  readonly ropePeriods?: RopePeriods | undefined
  /** Version of this package, for the files. */
  readonly version: string
}

export const MODELS = ['backbone', 'head', 'flow'] as const

/**
 * The content of a model's file:
 *
 * | model | inputs | output |
 * | --- | --- | --- |
 * | `backbone` | `image` [1, 3, H, W] | `features` [1, dim, h, w] |
 * | `head` | `features1`, `features2` [1, dim, h, w] | `optical_flow` [1, 2, h * up, w * up] |
 * | `flow` | `image1`, `image2` | `optical_flow` |
 *
 * All are float32 in any precision. Weights are read when the file is written.
 *
 * @throws {FlowError} `ERR_ARGUMENT` for a size that is no multiple of the patch
 */
export function modelContent(
  which: (typeof MODELS)[number],
  model: OpenModel,
  options: ModelOptions,
): ModelContent {
  const g = new Graph(options.precision)
  BUILDERS[which](g, new Parts(model, options))
  return {
    name: which,
    doc: DOCS[which],
    producer: { name: 'dinov3-flow', version: options.version },
    inputs: g.inputs,
    outputs: g.outputs,
    nodes: g.nodes,
    tensors: g.tensors,
    metadata: metadata(model, options),
  }
}

const DOCS = {
  backbone: 'The features of a picture, by a DINOv3 vision transformer.',
  head: 'The optical flow between two pictures by their features. The refinement by pixels is no part of it.',
  flow: 'The optical flow between two pictures. The refinement by pixels is no part of it.',
}

const BUILDERS = {
  backbone(g: Graph, parts: Parts): void {
    const image = parts.normalised(g, parts.image(g, 'image'))
    const features = buildBackbone(g, parts.backbone, parts.grid, image, 1)
    g.output('features', features, parts.features, 'features of the patches')
  },
  head(g: Graph, parts: Parts): void {
    const input = (name: string) => g.input(name, parts.features, 'features of a picture')
    parts.flow(g, buildHead(g, parts.head, parts.grid, [input('features1'), input('features2')]))
  },
  flow(g: Graph, parts: Parts): void {
    const images = [parts.image(g, 'image1'), parts.image(g, 'image2')]
    const features = g.within('backbone', () => {
      const both = parts.normalised(g, g.concat(images, 0))
      return buildBackbone(g, parts.backbone, parts.grid, both, images.length)
    })
    const [first, second] = g.split(features, 0, images.length)
    parts.flow(
      g,
      g.within('head', () => buildHead(g, parts.head, parts.grid, [first!, second!])),
    )
  },
}

/** What the graphs are built of. */
class Parts {
  readonly backbone: BackbonePart
  readonly head: HeadPart
  readonly grid: GraphGrid
  readonly features: readonly Dimension[]
  readonly #size: readonly [Dimension, Dimension]
  readonly #flowSize: readonly [Dimension, Dimension]
  readonly #normalisation: ModelOptions['normalisation']
  readonly #pixels: Normalization

  constructor({ backbone, head }: OpenModel, { size, ropePeriods, normalisation }: ModelOptions) {
    const { patch, dim } = backbone.config
    const { up } = head.config
    this.backbone = { config: backbone.config, weights: new Weights(backbone.weights), ropePeriods }
    this.head = { config: head.config, weights: new Weights(head.weights) }
    this.#normalisation = normalisation
    this.#pixels = backbone.normalization
    if (size === 'dynamic') {
      this.grid = size
      this.features = [1, dim, 'grid_height', 'grid_width']
      this.#size = ['height', 'width']
      this.#flowSize = ['flow_height', 'flow_width']
      return
    }
    const [height, width] = size
    const { gridHeight, gridWidth } = resolveGrid(size, { height, width }, patch)
    this.grid = { height: gridHeight, width: gridWidth }
    this.features = [1, dim, this.grid.height, this.grid.width]
    this.#size = size
    this.#flowSize = [this.grid.height * up, this.grid.width * up]
  }

  image(g: Graph, name: string): string {
    return g.input(name, [1, 3, ...this.#size], PICTURES[this.#normalisation](this.#pixels))
  }

  normalised(g: Graph, image: string): string {
    if (this.#normalisation === 'outside') return image
    return g.within('normalise', () => {
      const constant = (name: string, of: readonly number[]) =>
        g.constant(
          name,
          of.map((each) => 255 * each),
          [1, 3, 1, 1],
          'float32',
        )
      const { mean, std } = this.#pixels
      return g.op('Div', [g.op('Sub', [image, constant('mean', mean)]), constant('deviation', std)])
    })
  }

  flow(g: Graph, from: string): void {
    const doc = 'flow in pixels of its own size, x (right), then y (down), from picture 1 to picture 2'
    g.output('optical_flow', from, [1, 2, ...this.#flowSize], doc)
  }
}

const PICTURES = {
  inside: () => 'RGB in 0..255',
  outside: ({ mean, std }: Normalization) => `RGB in 0..1, minus ${mean.join(', ')}, by ${std.join(', ')}`,
}

function metadata(model: OpenModel, options: ModelOptions): Record<string, string> {
  return {
    ...provenance(model),
    size: options.size === 'dynamic' ? 'dynamic' : options.size.join('x'),
    patch: String(model.backbone.config.patch),
    precision: options.precision,
    image: PICTURES[options.normalisation](model.backbone.normalization),
  }
}
