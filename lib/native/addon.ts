import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { URL } from 'node:url'
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
  try {
    const require = createRequire(import.meta.url)
    return (require('../../addon.cjs') as { readonly addon: NativeAddon }).addon
  } catch (cause) {
    const system = `${process.platform}-${process.arch}, Node ${process.version}`
    throw new FlowError(
      'ERR_NATIVE',
      `the native addon of dinov3-flow could not be loaded (${system}): ${reason(cause)}\n` +
        `${remedy(cause)}\nOnly models need the addon: files, formats, pictures and metrics work without it`,
      { cause },
    )
  }
}

/** Whether this code is not in its package: a bundler has put it into another file, of a format without import.meta or elsewhere. */
function isBundled(cause: unknown): boolean {
  const from: string | undefined = import.meta.url
  // webpack takes addon.cjs into the bundle, too, and node-gyp-build says so of itself.
  if (from === undefined || /\bwebpack=true\b/.test(messageOf(cause))) return true
  return !existsSync(new URL('../../addon.cjs', from))
}

function reason(cause: unknown): string {
  return isBundled(cause) ? 'a bundler has taken its code out of its package' : messageOf(cause).trim()
}

function remedy(cause: unknown): string {
  if (isBundled(cause))
    return "Keep 'dinov3-flow' and 'sharp' external, and ship node_modules: docs/guide/install.md of the package has the lines, under Bundlers"
  const code = codeOf(cause)
  if (code === 'ERR_DLOPEN_DISABLED' || code === 'ERR_ACCESS_DENIED')
    return 'Node runs with --permission, which the addon needs more of: --allow-addons --allow-fs-read=*'
  if (process.platform === 'win32') return 'The engine does not run on Windows itself: use WSL'
  return 'Build it for this system, from source: npx dinov3-flow build'
}
