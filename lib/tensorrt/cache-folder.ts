import { homedir } from 'node:os'
import { isAbsolute, join, resolve } from 'node:path'

/**
 * The folder of engines that TensorRT built: `tensorrt` in that of `DINOV3_FLOW_CACHE`, or else `dinov3-flow/tensorrt` in the user's
 * folder for caches, which is `XDG_CACHE_HOME` or `~/.cache`. It need not exist. Undefined for a user without a home.
 */
export function cacheFolder(environment: NodeJS.ProcessEnv = process.env): string | undefined {
  const own = environment['DINOV3_FLOW_CACHE'] ?? ''
  if (own !== '') return resolve(own, 'tensorrt')
  const caches = environment['XDG_CACHE_HOME'] ?? ''
  // The XDG specification has relative paths ignored.
  if (isAbsolute(caches)) return join(caches, 'dinov3-flow', 'tensorrt')
  try {
    return join(homedir(), '.cache', 'dinov3-flow', 'tensorrt')
  } catch {
    return undefined
  }
}
