import type sharp from 'sharp'
import { FlowError, messageOf } from '../errors.js'
import { quoted } from '../support/quote.js'

/**
 * Loads `sharp`, the decoder and encoder of pictures. It is loaded when it is first needed, so that decoded frames can be
 * used without it, even on systems for which `sharp` has no binary.
 *
 * @throws {FlowError} `ERR_NATIVE` if it cannot be loaded; the message says how to install it
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

/**
 * What `sharp` says in its errors, on one line: each of their lines once, without the names of its parts. libvips collects messages
 * per process, so that of a picture may go to another one that is decoded at the same time.
 */
export function reasonOf(...errors: readonly unknown[]): string {
  const lines = errors
    .map(messageOf)
    .join('\n')
    .split('\n')
    .map((line) =>
      line.replace(/^Input \w+ has corrupt header:|^Warning treated as error.*|^Unknown error/, '').trim(),
    )
    .map((line) => line.replace(/^vips\w+: /i, ''))
  const told = [...new Set(lines)].filter((line) => line !== '').join('; ')
  return quoted(told === '' ? 'its data are damaged' : told).slice(1, -1)
}
