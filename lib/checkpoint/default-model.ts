import { fileURLToPath } from 'node:url'

/**
 * File of the package's own model, backbone and head. `weights/README.md` describes it. Empty where a bundler has made CommonJS of
 * this file: then `loadAddon` says why no model is loaded.
 */
export const DEFAULT_MODEL = find()

function find(): string {
  try {
    // Tools that trace files know this expression, and take the model along.
    return fileURLToPath(new URL('../../weights/dinov3-flow-small.safetensors', import.meta.url))
  } catch {
    return ''
  }
}
