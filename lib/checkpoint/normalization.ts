import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { FlowError } from '../errors.js'
import { listed, shown } from '../support/quote.js'
import { readConfigFile } from './config-file.js'
import { isRecord } from './json.js'
import { Malformed } from './malformed.js'
import type { BackboneLayout } from './vocabulary.js'

/** One number for each channel. */
export type Channels = readonly [red: number, green: number, blue: number]

/** The scale that a backbone expects of pixels: (value - mean) / std in each channel, with values from 0 to 1. */
export interface Normalization {
  /** From 0 to 1. */
  readonly mean: Channels
  /** Standard deviation, from 0.01 to 1. */
  readonly std: Channels
}

/** A {@link Normalization}, and whether the caller gave it, a file beside the checkpoint has it, or it is ImageNet's. */
export interface FoundNormalization extends Normalization {
  readonly from: 'option' | 'file' | 'default'
}

/** What DINOv3 expects that was trained on web pictures. */
export const IMAGENET: Normalization = { mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] }

/** The advice about a file that tells a normalisation of no use. */
const GIVE = 'give normalization (--image-mean, --image-std)'

/** The smallest value of each. */
const LEAST = { mean: 0, std: 0.01 } as const

/**
 * The normalisation that a backbone expects: the option's; that of the `preprocessor_config.json` beside Hugging Face's
 * `config.json`, or of timm's `config.json`; or ImageNet's.
 *
 * @param config - path of a `config.json` that is not beside the checkpoint
 * @throws {FlowError} `ERR_ARGUMENT` for the option; `ERR_IO` or `ERR_CHECKPOINT_FORMAT` for a file
 */
export function findNormalization(
  checkpoint: string,
  layout: BackboneLayout,
  { config, normalization }: { config?: string | undefined; normalization?: Normalization | undefined },
): FoundNormalization {
  if (normalization !== undefined) return { ...checkNormalization(normalization), from: 'option' }
  const found =
    layout === 'huggingface'
      ? readBeside(config ?? checkpoint, 'preprocessor_config.json', takeProcessor)
      : layout === 'timm'
        ? readBeside(checkpoint, 'config.json', takeTimm)
        : undefined
  return found === undefined ? { ...IMAGENET, from: 'default' } : { ...found, from: 'file' }
}

/** A value's three numbers; undefined if it has no such numbers. */
export function toChannels(value: unknown, which: 'mean' | 'std'): Channels | undefined {
  if (!Array.isArray(value) || value.length !== 3) return undefined
  const [red, green, blue] = value as readonly unknown[]
  const channels = [red, green, blue]
  const good = (v: unknown) => typeof v === 'number' && v >= LEAST[which] && v <= 1
  return channels.every(good) ? (channels as unknown as Channels) : undefined
}

/** What `toChannels` takes, in words. */
export function channelsInWords(which: 'mean' | 'std'): string {
  return `three numbers from ${LEAST[which]} to 1`
}

/** @throws {FlowError} `ERR_ARGUMENT` unless it is one; it may come from JavaScript */
function checkNormalization(given: Normalization): Normalization {
  const check = (which: 'mean' | 'std') => {
    const value: unknown = (given as Partial<Normalization> | null)?.[which]
    const channels = toChannels(value, which)
    if (channels !== undefined) return channels
    throw new FlowError(
      'ERR_ARGUMENT',
      `normalization.${which}: must be ${channelsInWords(which)}, not ${described(value)}`,
    )
  }
  return { mean: check('mean'), std: check('std') }
}

function readBeside<T>(
  file: string,
  name: string,
  take: (config: Record<string, unknown>) => T,
): T | undefined {
  const path = join(dirname(file), name)
  return existsSync(path) ? readConfigFile(path, take) : undefined
}

/** What transformers' image processor of DINOv3 does to pixels. A missing key stands for its default. */
function takeProcessor(config: Record<string, unknown>): Normalization {
  for (const key of ['do_rescale', 'do_normalize'])
    if ((config[key] ?? true) !== true)
      throw new Malformed(`has ${key} ${shown(config[key])}: only true is supported`, GIVE)
  const factor = config['rescale_factor'] ?? 1 / 255
  if (typeof factor !== 'number' || !(Math.abs(255 * factor - 1) < 1e-6))
    throw new Malformed(`has rescale_factor ${shown(factor)}: only 1/255 is supported`, GIVE)
  return { mean: take(config, 'image_mean', 'mean'), std: take(config, 'image_std', 'std') }
}

/** The normalisation of timm's model; undefined if the file is not timm's. */
function takeTimm({ pretrained_cfg: config }: Record<string, unknown>): Normalization | undefined {
  if (!isRecord(config)) return undefined
  return { mean: take(config, 'mean', 'mean'), std: take(config, 'std', 'std') }
}

function take(config: Record<string, unknown>, key: string, which: 'mean' | 'std'): Channels {
  const value = config[key] ?? IMAGENET[which]
  const channels = toChannels(value, which)
  if (channels === undefined)
    throw new Malformed(`has ${key} ${described(value)}, not ${channelsInWords(which)}`, GIVE)
  return channels
}

function described(value: unknown): string {
  return Array.isArray(value) ? listed(value) : shown(value)
}
