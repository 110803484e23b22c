import { fileURLToPath } from 'node:url'

/** File of the package's own model, backbone and head. `weights/README.md` describes it. */
export const DEFAULT_MODEL = fileURLToPath(
  new URL('../../weights/dinov3-flow-small.safetensors', import.meta.url),
)
