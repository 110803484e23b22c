import type sharp from 'sharp'
import { FlowError, messageOf } from '../errors.js'

/**
 * The decoder and encoder of pictures. Loaded when it is first needed, so that the package works without it for whoever
 * has decoded frames, also on systems for which it has no binary.
 *
 * @throws {FlowError} `ERR_NATIVE` where it cannot be loaded, saying how to get it
 */
export async function loadSharp(): Promise<typeof sharp> {
  try {
    return (await import('sharp')).default
  } catch (cause) {
    throw new FlowError(
      'ERR_NATIVE',
      `sharp, which reads and writes pictures, could not be loaded: ${messageOf(cause)}\n` +
        'Install it again with its optional dependencies: npm install --include=optional sharp\n' +
        'or decode frames with something else: { data, width, height } needs no sharp',
      { cause },
    )
  }
}
