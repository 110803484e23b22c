import { latin1 } from '../support/file-kind.js'
import { quoted } from '../support/quote.js'
import { checkLength, checkWhite, LONGEST_HEADER, readBinary } from './netpbm.js'
import { checkSize, type Samples, Undecodable } from './samples.js'

// PAM: 'P7', a header of lines such as 'WIDTH 640', the line 'ENDHDR', then samples as in a PGM or PPM. A second or fourth channel
// is alpha. https://netpbm.sourceforge.net/doc/pam.html

/** Whether a file's first bytes are those of a PAM. */
export function looksLikePam(bytes: Uint8Array): boolean {
  return latin1(bytes.subarray(0, 3)) === 'P7\n'
}

/**
 * Decodes a PAM of 1 to 4 channels. Alpha is dropped.
 *
 * @param bytes begin as {@link looksLikePam} wants it
 * @throws {Undecodable} if the header is damaged, or samples are missing or too large
 */
export function decodePam(bytes: Uint8Array): Samples {
  const [header = '', text = ''] =
    /^P7\n((?:[^\n]*\n)*?)ENDHDR\n/.exec(latin1(bytes.subarray(0, LONGEST_HEADER))) ?? []
  const field = (name: string): number => {
    const [, digits] = new RegExp(`^${name}[ \\t]+(\\d{1,9})[ \\t\\r]*$`, 'm').exec(text) ?? []
    if (digits === undefined) throw new Undecodable(`its PAM header has no ${name}: get the file again`)
    return Number(digits)
  }
  const [width, height, depth, white] = [field('WIDTH'), field('HEIGHT'), field('DEPTH'), field('MAXVAL')]
  checkSize(width, height)
  checkWhite(white)
  if (depth < 1 || depth > 4)
    throw new Undecodable(`it has ${depth} channels, and 1 to 4 are read: save it as PNG`)
  const [, type = ''] = /^TUPLTYPE[ \t]+(\w{1,40})[ \t\r]*$/m.exec(text) ?? []
  if (depth >= 3 && !type.startsWith('RGB'))
    throw new Undecodable(
      `its ${depth} channels are of TUPLTYPE ${quoted(type)}, not RGB, so that their order is unknown: save it as PPM or PNG`,
    )
  const count = depth * width * height
  const body = bytes.subarray(header.length)
  checkLength(body, (white > 255 ? 2 : 1) * count, { width, height })
  const all = readBinary(body, count, white)
  const channels = depth < 3 ? 1 : 3
  const data = depth === channels ? all : all.filter((_, i) => i % depth < channels)
  return { width, height, channels, white, data }
}
