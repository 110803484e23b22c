import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'
import { FlowError, messageOf } from '../errors.js'
import { codeOf } from '../support/brands.js'
import type { NativeAddon } from './contract.js'

let addon: NativeAddon | undefined

/**
 * The addon: the one that was built in the package's folder, or else the package's binary for this system.
 *
 * @throws {FlowError} `ERR_NATIVE` if there is none for this system, or it cannot be loaded; the message says what to do
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
      `the native addon of dinov3-flow could not be loaded (${system}): ${messageOf(cause).trim()}\n` +
        `${remedy(cause)}\nOnly models need the addon: files, formats, pictures and metrics work without it`,
      { cause },
    )
  }
}

function remedy(cause: unknown): string {
  const code = codeOf(cause)
  if (code === 'ERR_DLOPEN_DISABLED' || code === 'ERR_ACCESS_DENIED')
    return 'Node runs with --permission, which the addon needs more of: --allow-addons --allow-fs-read=*'
  if (process.platform === 'win32') return 'The engine does not run on Windows itself: use WSL'
  return 'Build it for this system, from source: npx dinov3-flow build'
}
