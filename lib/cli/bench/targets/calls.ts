import type { FeatureMap } from '../../../feature-map.js'
import type { Frame } from '../../../frame.js'
import { FlowError } from '../../../errors.js'
import type { FlowModel } from '../../../model.js'
import type { Refine } from '../../../refine.js'
import type { FlowSize } from '../../../size.js'
import type { FlowStream } from '../../../stream.js'
import type { StreamResult } from '../../../stream-options.js'
import type { Parts } from '../scenarios/sample.js'
import type { Call } from './contender.js'
import type { CameraTarget, Pushed, Target } from './target.js'

/** What a call works on. */
export interface Setting {
  readonly model: FlowModel
  /** The frame `index` of an endless stream. */
  readonly frameAt: (index: number) => Frame
  /** As for `flowMaps`. */
  readonly options: {
    readonly size: FlowSize
    readonly refine: Refine
    readonly backward: boolean
    readonly occlusion: boolean
    readonly confidence: boolean
  }
}

/** How the model is called. */
export const CALLS: Readonly<Record<Call, (setting: Setting) => Pick<Target, 'push' | 'camera' | 'close'>>> =
  {
    stream: (setting) => {
      const { at, close } = streamsOf(setting)
      const { model, frameAt, options } = setting
      const camera = (): CameraTarget => {
        const stream = model.stream({ ...options, reuse: true, queue: { depth: 1, policy: 'drop-oldest' } })
        return {
          push: async (index) => {
            const { dropped, ...rest } = await pushed(stream, frameAt(index))
            return dropped === true ? null : rest
          },
          close: () => stream.close(),
        }
      }
      return { push: (n, index) => pushed(at(n), frameAt(index)), camera, close }
    },

    sync: (setting) => {
      const { at, close } = streamsOf(setting)
      return { push: async (n, index) => pushedSync(at(n), setting.frameAt(index)), close }
    },

    pair: ({ model, frameAt, options }) => {
      const { backward, occlusion, confidence, ...plain } = options
      const { width, height } = frameAt(0)
      const into = model.createField(width, height)
      const push = async (_: number, index: number) => {
        const [a, b] = [frameAt(index - 1), frameAt(index)]
        if (backward || occlusion || confidence) await model.flowMaps(a, b, options)
        else await model.flow(a, b, { ...plain, into })
        return {}
      }
      return { push, close: async () => {} }
    },

    backbone: ({ model, frameAt, options: { size, refine } }) => ({
      push: async (_, index) => {
        const features = await model.features(frameAt(index), { size, refine })
        features.dispose()
        return {}
      },
      close: async () => {},
    }),

    head: ({ model, frameAt, options: { size, refine } }) => {
      const { width, height } = frameAt(0)
      const into = model.createField(width, height)
      let maps: Promise<readonly [FeatureMap, FeatureMap]> | undefined
      const features = (index: number) => model.features(frameAt(index), { size, refine })
      return {
        push: async () => {
          const [a, b] = await (maps ??= Promise.all([features(0), features(1)]))
          await model.flowFromFeatures(a, b, { into, refine })
          return {}
        },
        close: async () => {
          for (const map of (await maps) ?? []) map.dispose()
        },
      }
    },
  }

/** Frames that one stream is given at a time wait, all of them. */
const DEEPEST = 10_000

/** Streams that are made at their first frame. */
function streamsOf({ model, options }: Setting): {
  readonly at: (n: number) => FlowStream
  readonly close: () => Promise<void>
} {
  const streams: FlowStream[] = []
  const queue = { depth: DEEPEST, policy: 'wait' } as const
  return {
    at: (n) => (streams[n] ??= model.stream({ ...options, reuse: true, queue })),
    close: async () => {
      for (const stream of streams) stream.close()
    },
  }
}

async function pushed(stream: FlowStream, frame: Frame): Promise<Pushed & { readonly dropped?: boolean }> {
  const begin = performance.now()
  const promise = stream.push(frame)
  const called = performance.now()
  return outcome(await promise, begin, called)
}

function pushedSync(stream: FlowStream, frame: Frame): Pushed {
  const begin = performance.now()
  return outcome(stream.pushSync(frame), begin, begin)
}

function outcome(
  result: StreamResult | undefined,
  begin: number,
  called: number,
): Pushed & { readonly dropped?: boolean } {
  if (result === undefined) return {} // the first frame
  if (result.flow === null) {
    if (result.reason === 'dropped') return { dropped: true }
    throw new FlowError('ERR_FRAME', `frame ${result.index} has no flow: ${result.reason}`)
  }
  return { parts: partsOf(result.timing, performance.now() - begin, called - begin) }
}

/** A stream's own timing counts from within the call. What it does not know of is the call and the way back. */
function partsOf(
  timing: { readonly queue: number; readonly engine: number },
  total: number,
  copy: number,
): Parts {
  const queue = Math.max(0, timing.queue - copy)
  return { copy, queue, engine: timing.engine, result: Math.max(0, total - copy - queue - timing.engine) }
}
