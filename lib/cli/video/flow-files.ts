import { join, resolve } from 'node:path'
import { writeFlow, writeMap } from '../../formats/index.js'
import type { FlowMaps } from '../../request.js'
import { makeFolder } from '../../support/make-folder.js'
import { UsageError } from '../cli.js'
import { backwardName } from '../outputs.js'
import type { VideoFrame } from './decoder.js'
import type { VideoSource } from './source.js'

export const FILE_FORMATS = ['flo', 'png', 'npy', 'flo5'] as const
export type FileFormat = (typeof FILE_FORMATS)[number]

const DIGITS = 6

/** Writes a file for each flow. Its name is that of the frame which the flow starts from. */
export class FlowFiles {
  readonly folder: string
  readonly #format: FileFormat
  readonly #source: VideoSource
  /** Files of flow and of maps that were written. */
  count = 0

  /**
   * Makes the folder.
   *
   * @throws {UsageError} if files would overwrite the pictures that are read
   * @throws {FlowError} `ERR_IO` if there can be no such folder
   */
  constructor(folder: string, format: FileFormat, source: VideoSource) {
    this.folder = folder
    this.#format = format
    this.#source = source
    const inputs = new Set(source.files)
    if (source.pictures.some((name) => inputs.has(join(resolve(folder), `${name}.${format}`))))
      throw new UsageError(
        `--flow: the pictures are in ${folder}, and files of flow would overwrite them: name another folder`,
      )
    makeFolder(folder)
  }

  /**
   * Writes `NAME.flo`, and what else there is as `NAME.backward.flo` and `NAME.occlusion.png`.
   *
   * @throws {FlowError} as `writeFlow`
   */
  async write(frame: VideoFrame, { flow, backward, occlusion }: FlowMaps): Promise<void> {
    const name = this.#source.pictures[frame.picture] ?? String(frame.index + 1).padStart(DIGITS, '0')
    const path = join(this.folder, `${name}.${this.#format}`)
    await writeFlow(path, flow)
    if (backward !== undefined) await writeFlow(backwardName(path), backward)
    if (occlusion !== undefined) await writeMap(join(this.folder, `${name}.occlusion.png`), occlusion)
    this.count += [flow, backward, occlusion].filter((each) => each !== undefined).length
  }
}
