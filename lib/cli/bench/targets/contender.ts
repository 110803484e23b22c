import { isDevice, WAITS } from '../../../device.js'
import { BACKBONE_ENGINES } from '../../../prepare.js'
import { quoted } from '../../../support/quote.js'
import { UsageError } from '../../cli.js'
import type { ComputationFlags } from '../../model-options.js'
import { parseSize, parseThreads } from '../../parse.js'

/** What a query calls. */
export type Call = 'stream' | 'sync' | 'pair' | 'backbone' | 'head'

/** A contender of ours: a way to compute with the model. */
export interface OurContender extends ComputationFlags {
  readonly kind: 'ours'
  readonly name: string
  readonly call: Call
  readonly backward: boolean
  readonly occlusion: boolean
  readonly confidence: boolean
}

/** OpenCV's DIS. */
export interface OpenCvContender {
  readonly kind: 'opencv'
  readonly name: string
  readonly preset: 'ultrafast' | 'fast' | 'medium'
}

/** The same network, without refinement, in onnxruntime-node. */
export interface OnnxRuntimeContender {
  readonly kind: 'onnxruntime'
  readonly name: string
  readonly call: (typeof ONNX_CALLS)[number]
}

export type Contender = OurContender | OpenCvContender | OnnxRuntimeContender

const CHOICES = {
  'backbone-engine': BACKBONE_ENGINES,
  preset: ['fast', 'balanced', 'best'],
  refine: ['off', 'fast', 'default', 'best'],
  precision: ['auto', 'fp32', 'fp16', 'bf16'],
  wait: WAITS,
  call: ['stream', 'sync', 'pair', 'backbone', 'head'],
} as const
const SWITCHES = ['backward', 'occlusion', 'confidence'] as const
const ONNX_CALLS = ['stream', 'backbone', 'head'] as const
const DIS_PRESETS = ['ultrafast', 'fast', 'medium'] as const

/** For the help: what a contender may be. */
export const CONTENDER_HELP =
  'our model with other options, separated by commas: preset=, size=, refine=, device=, precision=, wait=, threads=, backbone-engine=, ' +
  'call=stream|sync|pair|backbone|head, backward, occlusion, confidence; or opencv, opencv=ultrafast|fast|medium; or onnxruntime, onnxruntime=stream|backbone|head'

/** What is measured without `--contender`, and what others are compared with. */
export function baseContender(flags: ComputationFlags): OurContender {
  return {
    ...flags,
    kind: 'ours',
    name: 'dinov3-flow',
    call: 'stream',
    backward: false,
    occlusion: false,
    confidence: false,
  }
}

/**
 * Parses the text of `--contender`. Options that it leaves out are those of the command.
 *
 * @throws {UsageError} for an option or a value that there is not
 */
export function parseContender(text: string, flags: ComputationFlags): Contender {
  const [opencv, preset = 'medium'] = /^opencv(?:=(.*))?$/s.exec(text) ?? []
  if (opencv !== undefined)
    return { kind: 'opencv', name: text, preset: choice(text, 'opencv', preset, DIS_PRESETS) }
  const [onnxRuntime, onnxCall = 'stream'] = /^onnxruntime(?:=(.*))?$/s.exec(text) ?? []
  if (onnxRuntime !== undefined)
    return { kind: 'onnxruntime', name: text, call: choice(text, 'onnxruntime', onnxCall, ONNX_CALLS) }
  let contender: Record<string, unknown> = { ...baseContender(flags), name: text }
  for (const part of text.split(',')) {
    const [key = '', value] = part.trim().split('=')
    contender = {
      ...contender,
      [key === 'backbone-engine' ? 'backboneEngine' : key]: valueOf(text, key, value),
    }
    // A size and a refinement of the command must not overrule a preset that is asked for here.
    if (key === 'preset') for (const each of ['size', 'refine']) if (!has(text, each)) delete contender[each]
  }
  return contender as unknown as OurContender
}

function has(text: string, key: string): boolean {
  return text.split(',').some((part) => part.trim().startsWith(`${key}=`))
}

function valueOf(text: string, key: string, value: string | undefined): unknown {
  if ((SWITCHES as readonly string[]).includes(key)) {
    if (value === undefined) return true
    throw new UsageError(`--contender ${text}: ${key} takes no value`)
  }
  if (value === undefined || value === '')
    throw new UsageError(
      `--contender ${text}: ${quoted(key)} is not known, or has no value. It is ${CONTENDER_HELP}`,
    )
  if (Object.hasOwn(CHOICES, key)) return choice(text, key, value, CHOICES[key as keyof typeof CHOICES])
  if (key === 'device' && isDevice(value)) return value
  try {
    if (key === 'size') return parseSize(value)
    if (key === 'threads') return parseThreads(value)
  } catch (error) {
    throw new UsageError(`--contender ${text}: ${key}: ${(error as Error).message}`)
  }
  if (key === 'device')
    throw new UsageError(`--contender ${text}: device: It must be auto, cpu, cuda or cuda:N.`)
  throw new UsageError(`--contender ${text}: ${quoted(key)} is not known. It is ${CONTENDER_HELP}`)
}

function choice<T extends string>(text: string, key: string, value: string, choices: readonly T[]): T {
  if ((choices as readonly string[]).includes(value)) return value as T
  throw new UsageError(`--contender ${text}: ${key} must be one of ${choices.join(', ')}`)
}
