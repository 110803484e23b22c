import type { FrameBuffer } from '../../frame.js'
import type { OutputSize } from '../../size.js'
import type { VideoFormat } from './decoder.js'
import type { TrackFormat } from './matroska.js'

/** How the video shows flow. Without any of them: in colours. */
export interface LookOptions {
  /** In colours over the frames. */
  readonly overlay?: true
  /** As arrows over the frames. */
  readonly arrows?: true
  /** With the frame at its left. */
  readonly sideBySide?: true
  /** Hidden pixels are black. */
  readonly occlusion?: true
}

/** A picture that ffmpeg puts together with others. */
export type Layer = 'frame' | 'colors' | 'arrows' | 'occlusion'

/** The layers that a look is made of. */
export function layersOf({ overlay, arrows, sideBySide, occlusion }: LookOptions): Layer[] {
  const layers: Layer[] = []
  if (overlay || arrows || sideBySide) layers.push('frame')
  if (overlay || !arrows) layers.push('colors')
  if (arrows) layers.push('arrows')
  if (occlusion) layers.push('occlusion')
  return layers
}

/** The layout of a layer's pixels. */
export function trackFormatOf(layer: Layer, { format }: FrameBuffer): TrackFormat {
  if (layer === 'frame') return format === 'i420' ? 'yuv420p' : format === 'i444' ? 'yuv444p' : 'rgb24'
  return ({ colors: 'yuv420p', arrows: 'rgba', occlusion: 'gray' } as const)[layer]
}

/** The size of the video: that of the look, with one column or row more where it is odd, because H.264 has none such. */
export function videoSize({ width, height }: OutputSize, { sideBySide }: LookOptions): OutputSize {
  const even = (pixels: number) => pixels + (pixels % 2)
  return { width: even(sideBySide ? 2 * width : width), height: even(height) }
}

const BT709 = 'scale=out_color_matrix=bt709:out_range=tv,format=yuv420p'
/** The part of the frame's brightness in an overlay. The rest is that of the colours, so that they show where it is dark. */
const BRIGHTNESS = 0.7
/** The part of the frame's own colours in an overlay. More would be taken for motion. */
const TINT = 0.15

/**
 * The filter graph of ffmpeg that makes one picture of the layers, in YUV of BT.709 with half the resolution of colour.
 *
 * @param image a frame of the video
 */
export function filterGraph(look: LookOptions, image: FrameBuffer, video: VideoFormat): string {
  const layers = layersOf(look)
  const input = (layer: Layer) => `[0:${layers.indexOf(layer)}]`
  const isYuv = image.matrix !== undefined
  const space = { bt601: 'smpte170m', bt709: 'bt709', bt2020: 'bt2020nc' }[image.matrix ?? 'bt709']
  const coded = isYuv ? `setparams=range=tv:colorspace=${space},` : ''
  const chains: string[] = []
  let frame = input('frame')
  if (layers.includes('frame')) {
    const uses = (look.sideBySide ? 1 : 0) + (look.overlay || look.arrows ? 1 : 0)
    chains.push(`${frame}${coded}${BT709}${uses === 2 ? ',split[frame][under]' : '[frame]'}`)
    frame = uses === 2 ? '[under]' : '[frame]'
  }
  let picture = frame
  if (layers.includes('colors')) {
    chains.push(`${input('colors')}setparams=range=tv:colorspace=bt709[colors]`)
    picture = '[colors]'
    if (look.overlay) {
      const mix = `c0_opacity=${BRIGHTNESS}:c1_opacity=${TINT}:c2_opacity=${TINT}`
      chains.push(`${frame}[colors]blend=all_mode=normal:${mix}[overlay]`)
      picture = '[overlay]'
    }
  }
  if (layers.includes('occlusion')) {
    // Masks work on RGB, whose planes are of one size.
    const rgb = 'scale=in_color_matrix=bt709:in_range=tv,format=gbrp'
    chains.push(
      `${picture}${rgb},split[seen][hidden]`,
      '[hidden]lutrgb=r=0:g=0:b=0[black]',
      `${input('occlusion')}lut=c0=val*255,format=gbrp[mask]`,
      `[seen][black][mask]maskedmerge,${BT709}[masked]`,
    )
    picture = '[masked]'
  }
  if (layers.includes('arrows')) {
    chains.push(`${picture}${input('arrows')}overlay=format=auto[drawn]`)
    picture = '[drawn]'
  }
  if (look.sideBySide) {
    chains.push(`[frame]${picture}hstack[both]`)
    picture = '[both]'
  }
  const { num, den } = video.timeBase
  const { width, height } = videoSize(image, look)
  const [right, bottom] = [width - (look.sideBySide ? 2 : 1) * image.width, height - image.height]
  const pad =
    right + bottom === 0
      ? ''
      : `pad=${width}:${height},fillborders=right=${right}:bottom=${bottom}:mode=smear,`
  const aspect = video.sampleAspect.startsWith('0/') ? '' : `setsar=${video.sampleAspect},`
  // Matroska's microseconds become the video's own units again.
  chains.push(`${picture}${pad}${aspect}settb=${num}/${den},format=yuv420p[video]`)
  return chains.join(';')
}
