import { extname } from 'node:path'
import { FlowError } from '../errors.js'
import { encodePng } from '../image/rgb-image.js'
import type { PixelMap } from '../request.js'
import { toPath } from '../support/file-path.js'
import { shortPath } from '../support/quote.js'
import { writeWhole } from '../support/write-file.js'
import { mapToImage } from '../viz/map-to-image.js'
import { encodeMapNpy } from './npy.js'

/** The extensions of files of maps. */
export const MAP_EXTENSIONS: readonly string[] = ['.png', '.npy']

/**
 * Writes a map: `.png` in gray, as {@link mapToImage} draws it, or `.npy` of shape (H, W), a mask as bool, a confidence as float32.
 * The file appears complete or not at all.
 *
 * @throws {FlowError} `ERR_FORMAT` for an unknown extension; `ERR_IO` if it cannot be written; `ERR_ARGUMENT` for a URL other
 *   than a file: URL; `ERR_NATIVE` if a `.png` is written and `sharp` cannot be loaded
 */
export async function writeMap(file: string | URL, map: PixelMap<Uint8Array | Float32Array>): Promise<void> {
  const path = toPath(file, 'file')
  const extension = extname(path).toLowerCase()
  if (!MAP_EXTENSIONS.includes(extension))
    throw new FlowError(
      'ERR_FORMAT',
      `${shortPath(path)}: maps end in ${MAP_EXTENSIONS.join(', ')}, not '${shortPath(extension, 20)}'`,
    )
  await writeWhole(path, extension === '.npy' ? encodeMapNpy(map) : await encodePng(mapToImage(map)))
}
