import { fileURLToPath } from 'node:url'

/** The file of the model that the package brings along, backbone and head: `weights/README.md` says what it is. */
export const DEFAULT_MODEL = fileURLToPath(
  new URL('../../weights/dinov3-flow-small.safetensors', import.meta.url),
)
