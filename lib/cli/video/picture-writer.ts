import type { FlowField } from '../../flow-field.js'
import type { FlowMaps } from '../../request.js'
import type { FlowResult } from '../../stream-options.js'
import { loadSharp } from '../../image/sharp.js'
import { arrowStep } from '../../viz/arrows.js'
import { arrowsSvg, type FlowColorOptions } from '../../viz/index.js'
import { paintedBytes, paintFlow } from '../../viz/color-table.js'
import { ColorScale } from './color-scale.js'
import type { VideoFormat, VideoFrame } from './decoder.js'
import { Encoder } from './encoder.js'
import type { Ffmpeg } from './ffmpeg.js'
import { type Layer, layersOf, type LookOptions } from './layers.js'

/** Turns flows into the pictures of a video. */
export class PictureWriter {
  readonly #layers: readonly Layer[]
  readonly #colors: FlowColorOptions
  readonly #encoder: Encoder
  readonly #scale = new ColorScale()
  readonly #pixels: number
  /** Of two pictures, one may still be on its way to ffmpeg. */
  readonly #paints: [Uint8Array, Uint8Array]
  #blank: Map<Layer, Uint8Array> | undefined

  /** @param first a frame: its size and format are those of all */
  constructor(
    ffmpeg: Ffmpeg,
    path: string,
    look: LookOptions,
    colors: FlowColorOptions,
    { image }: VideoFrame,
    video: VideoFormat,
  ) {
    this.#layers = layersOf(look)
    this.#colors = colors
    this.#encoder = new Encoder(ffmpeg, path, look, image, video)
    this.#pixels = image.width * image.height
    const bytes = paintedBytes(image.width, image.height)
    this.#paints = [new Uint8Array(bytes), new Uint8Array(bytes)]
  }

  /** Pictures so far. */
  get count(): number {
    return this.#encoder.count
  }

  /**
   * Draws the flow that starts from a frame. The frame must not change until the next call is settled.
   *
   * @param maps undefined if the frame has no flow: it is shown without any motion
   * @throws {FlowError} `ERR_IO` if the video cannot be written
   */
  async write(frame: VideoFrame, maps: FlowResult | undefined): Promise<void> {
    const scale = maps === undefined ? 0 : this.#scaleFor(maps.flow)
    const pictures: Uint8Array[] = []
    for (const layer of this.#layers) pictures.push(await this.#draw(layer, frame, maps, scale))
    await this.#encoder.write(frame.seconds, pictures)
  }

  /** @throws {FlowError} `ERR_IO` if the video cannot be written */
  end(): Promise<void> {
    return this.#encoder.end()
  }

  /** The motion that gets the full colour, in pixels. */
  #scaleFor(flow: FlowField): number {
    const { scale, clipMax = Infinity } = this.#colors
    return scale ?? Math.min(this.#scale.next(flow), clipMax)
  }

  async #draw(
    layer: Layer,
    { image }: VideoFrame,
    maps: FlowMaps | undefined,
    scale: number,
  ): Promise<Uint8Array> {
    if (layer === 'frame') return image.data
    if (maps === undefined) return this.#blankLayer(layer)
    const { flow, occlusion } = maps
    if (layer === 'occlusion') return occlusion!.data
    if (layer === 'arrows') {
      const sharp = await loadSharp()
      // From one frame of a video to the next, motion is short: arrows in its own length would hardly show.
      const svg = arrowsSvg(flow, { scale: Math.max(1, arrowStep(flow) / scale) })
      return sharp(Buffer.from(svg)).ensureAlpha().raw().toBuffer()
    }
    const picture = this.#paints.shift()!
    this.#paints.push(picture)
    paintFlow(flow, { ...this.#colors, scale }, picture)
    return picture
  }

  /** White colours, no arrows, nothing hidden. */
  #blankLayer(layer: Exclude<Layer, 'frame'>): Uint8Array {
    this.#blank ??= new Map()
    let blank = this.#blank.get(layer)
    if (blank === undefined) {
      const bytes = { colors: this.#paints[0].length, arrows: 4 * this.#pixels, occlusion: this.#pixels }[
        layer
      ]
      blank = new Uint8Array(bytes)
      if (layer === 'colors') blank.fill(235, 0, this.#pixels).fill(128, this.#pixels)
      this.#blank.set(layer, blank)
    }
    return blank
  }
}
