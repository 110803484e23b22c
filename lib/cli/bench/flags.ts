import { InvalidArgumentError } from 'commander'
import type { ComputationFlags } from '../model-options.js'
import { parsePair } from '../parse.js'
import type { ModelFlags } from '../run/model-files.js'

export const SCENARIOS = ['single-stream', 'multi-stream', 'offline', 'camera'] as const
export type ScenarioName = (typeof SCENARIOS)[number]

/** Frames per second, or a share of what the machine sustains. */
export type Rate = { readonly hertz: number } | { readonly share: number }

/** The options of `bench`, as commander hands them over. */
export interface BenchFlags extends ModelFlags, ComputationFlags {
  readonly scenario: readonly ScenarioName[]
  readonly contender?: readonly string[]
  readonly streams: number
  readonly batch: number
  readonly rate: Rate
  readonly deadline?: number
  readonly seconds: number
  readonly frames?: number
  readonly warmUp: number
  readonly frameSize?: readonly [height: number, width: number]
  readonly python?: string
  readonly json?: string
  readonly markdown?: string
  readonly html?: string
  readonly against?: string
  readonly tolerance: number
  readonly quiet?: true
}

/** `single-stream,camera`, or `all`. */
export function parseScenarios(text: string): readonly ScenarioName[] {
  if (text === 'all') return SCENARIOS
  const names = text.split(',')
  if (names.every((name): name is ScenarioName => (SCENARIOS as readonly string[]).includes(name)))
    return [...new Set(names)]
  throw new InvalidArgumentError(`It must be all, or some of ${SCENARIOS.join(', ')}, separated by commas.`)
}

/** `30`, or `50%` of the sustainable rate. */
export function parseRate(text: string): Rate {
  const [, number = '', percent] = /^(\d+(?:\.\d+)?)(%?)$/.exec(text) ?? []
  const value = Number(number)
  if (number !== '' && value > 0 && percent === '%' && value <= 1000) return { share: value / 100 }
  if (number !== '' && value > 0 && percent === '' && value <= 100_000) return { hertz: value }
  throw new InvalidArgumentError(
    'It must be frames per second, or a percentage of what can be sustained: 30, 50%.',
  )
}

/** A number above 0, such as seconds. */
export function parseAbove0(text: string): number {
  const value = Number(text)
  if (text.trim() !== '' && value > 0 && value < Infinity) return value
  throw new InvalidArgumentError('It must be a number above 0.')
}

/** A number, 0 or above. */
export function parseFrom0(text: string): number {
  return text.trim() !== '' && Number(text) === 0 ? 0 : parseAbove0(text)
}

export function parseFrameSize(text: string): readonly [height: number, width: number] {
  const [height, width] = parsePair(text, '')
  if (height >= 16 && width >= 16 && height * width <= 2 ** 26) return [height, width]
  throw new InvalidArgumentError('Each side must be 16 or more, and all pixels 67 million or less.')
}
