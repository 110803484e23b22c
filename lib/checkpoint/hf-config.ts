import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { shown } from '../support/quote.js'
import { readConfigFile } from './config-file.js'
import { isRecord } from './json.js'
import { Malformed } from './malformed.js'

/** The advice about a `config.json` of no use. */
const OWN = "give this model's own config.json"

/** Numbers of a Hugging Face `config.json`. The tensors' shapes do not tell `heads`, but must agree with the others. */
export interface HuggingFaceConfig {
  readonly path: string
  readonly heads: number
  readonly dim: number | undefined
  readonly depth: number | undefined
}

/**
 * Reads the `config.json` beside a checkpoint.
 *
 * @returns undefined if there is none
 * @throws {FlowError} as `readConfig`
 */
export function readConfigBeside(checkpoint: string): HuggingFaceConfig | undefined {
  const path = join(dirname(checkpoint), 'config.json')
  return existsSync(path) ? readConfig(path) : undefined
}

/**
 * Reads the configuration of transformers' `DINOv3ViTModel`. The engine computes RoPE with base 100 and LayerNorm with
 * epsilon 1e-5, as all DINOv3 models do. A model with other values would be computed wrongly, so it is refused.
 *
 * @throws {FlowError} `ERR_IO` if the file cannot be read; `ERR_CHECKPOINT_FORMAT` if it is not such a configuration, or has
 *   other values
 */
export function readConfig(path: string): HuggingFaceConfig {
  return { path, ...readConfigFile(path, checkConfig) }
}

function checkConfig(config: Record<string, unknown>): Omit<HuggingFaceConfig, 'path'> {
  const type = config['model_type'] ?? 'dinov3_vit'
  if (type !== 'dinov3_vit')
    throw new Malformed(`is for a model of type ${shown(type)}, not "dinov3_vit"`, OWN)
  // transformers 5 moved rope_theta into a group of its own.
  const rope = config['rope_parameters']
  demand('rope_theta', (isRecord(rope) ? rope['rope_theta'] : undefined) ?? config['rope_theta'], 100)
  demand('layer_norm_eps', config['layer_norm_eps'], 1e-5)
  demand('hidden_act', config['hidden_act'], config['use_gated_mlp'] === true ? 'silu' : 'gelu')
  demand('num_channels', config['num_channels'], 3)
  const heads = positive('num_attention_heads', config['num_attention_heads'])
  if (heads === undefined) throw new Malformed('has no num_attention_heads', OWN)
  return {
    heads,
    dim: positive('hidden_size', config['hidden_size']),
    depth: positive('num_hidden_layers', config['num_hidden_layers']),
  }
}

/** Refuses any other value. A missing key stands for transformers' default, which is the value that DINOv3 uses. */
function demand(key: string, value: unknown, only: string | number): void {
  if (value === undefined || value === only) return
  throw new Malformed(`has ${key} ${shown(value)}: only ${only} is supported`, OWN)
}

function positive(key: string, value: unknown): number | undefined {
  if (value === undefined) return undefined
  if (typeof value === 'number' && Number.isSafeInteger(value) && value > 0) return value
  throw new Malformed(`has ${key} ${shown(value)}, which is no positive whole number`, OWN)
}
