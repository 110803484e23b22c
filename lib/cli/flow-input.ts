import { Option } from 'commander'
import { PNG_CODES } from '../formats/index.js'

/** The flow files that commands read, for their help. */
export const FLOW_FILES = '.flo, .png (16 bits), .pfm, .npy, .npz or .flo5; - is standard input'

/** The option that names the code of 16-bit PNGs. Their pixels do not tell it. */
export function pngCodeOption(): Option {
  return new Option(
    '--png-code <name>',
    'how a 16-bit PNG that is read codes flow: kitti (v - 2^15) / 64, dsec (v - 2^15) / 128, vkitti2 by the size of the frame; ' +
      'it is never guessed',
  )
    .choices(PNG_CODES)
    .default('kitti')
}
