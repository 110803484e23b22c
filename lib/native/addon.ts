import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'
import { FlowError, messageOf } from '../errors.js'
import type { NativeAddon } from './contract.js'

let addon: NativeAddon | undefined

/**
 * The addon: a prebuilt binary of the package, or the one that was built in its folder.
 *
 * @throws {FlowError} `ERR_NATIVE` if there is none for this system; the message says how to get one
 */
export function loadAddon(): NativeAddon {
  addon ??= findAddon()
  return addon
}

function findAddon(): NativeAddon {
  const root = fileURLToPath(new URL('../..', import.meta.url))
  const require = createRequire(import.meta.url)
  try {
    const load = require('node-gyp-build') as (root: string) => NativeAddon
    return load(root)
  } catch (cause) {
    const system = `${process.platform}-${process.arch}, Node ${process.version}`
    throw new FlowError(
      'ERR_NATIVE',
      `the native addon of dinov3-flow could not be loaded (${system}): ${messageOf(cause)}\n` +
        'Install it again with scripts allowed: npm rebuild dinov3-flow --foreground-scripts\n' +
        `or build it, with CMake and a C++20 compiler, in ${root}: npx cmake-js compile`,
      { cause },
    )
  }
}
