import { closeSync, existsSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { FlowError } from '../errors.js'
import { ioError } from '../support/io-error.js'
import type { Directory } from './directory.js'
import { Malformed } from './malformed.js'
import { looksLikeSafetensors, readSafetensors } from './safetensors.js'
import { openSource, readRange, type Source } from './source.js'
import type { CheckpointFile } from './tensor.js'
import { looksLikeTorchLegacy, readTorchLegacy } from './torch-legacy.js'
import { readTorchZip } from './torch-zip.js'
import { looksLikeZip } from './zip.js'

const ACCEPTED = 'accepted are safetensors files and state dicts of torch.save (.pth, .pt, .bin)'

/**
 * Opens a checkpoint and checks its directory of tensors; their data is not read. The format is detected from the content. A
 * folder stands for the `model.safetensors` (or `pytorch_model.bin`) in it, as in Hugging Face's models.
 *
 * @throws {FlowError} `ERR_IO` if the file cannot be read; `ERR_CHECKPOINT_FORMAT` if it is damaged, hostile or of another
 *   format. The message names the file, the tensor if there is one, and the reason.
 */
export function openCheckpoint(path: string): CheckpointFile {
  const source = openSource(resolveFolder(path))
  try {
    const format = sniff(source)
    const { tensors, metadata } = READERS[format](source)
    return new OpenCheckpoint(source, format, tensors, metadata)
  } catch (error) {
    closeSync(source.fd)
    if (error instanceof Malformed)
      throw new FlowError('ERR_CHECKPOINT_FORMAT', `${source.path}: ${error.message}`, { cause: error })
    throw error
  }
}

const READERS: Record<CheckpointFile['format'], (source: Source) => Directory> = {
  safetensors: readSafetensors,
  'torch-zip': readTorchZip,
  'torch-legacy': readTorchLegacy,
}

class OpenCheckpoint implements CheckpointFile {
  readonly path: string
  readonly size: number
  readonly fd: number
  private closed = false

  constructor(
    source: Source,
    readonly format: CheckpointFile['format'],
    readonly tensors: CheckpointFile['tensors'],
    readonly metadata: CheckpointFile['metadata'],
  ) {
    this.path = source.path
    this.size = source.size
    this.fd = source.fd
  }

  close(): void {
    // Only once: after that the system may give the same descriptor to another file.
    if (this.closed) return
    this.closed = true
    closeSync(this.fd)
  }
}

function resolveFolder(path: string): string {
  if (!isFolder(path)) return path
  for (const name of ['model.safetensors', 'pytorch_model.bin'])
    if (existsSync(join(path, name))) return join(path, name)
  if (existsSync(join(path, 'model.safetensors.index.json')))
    throw new FlowError(
      'ERR_CHECKPOINT_FORMAT',
      `${path}: holds a model in several shards, which is not supported: save it as one file (max_shard_size)`,
    )
  throw new FlowError(
    'ERR_CHECKPOINT_FORMAT',
    `${path}: is a folder without model.safetensors: give the file's path`,
  )
}

function isFolder(path: string): boolean {
  try {
    return statSync(path).isDirectory()
  } catch (cause) {
    throw ioError(path, 'read', cause)
  }
}

function sniff(source: Source): CheckpointFile['format'] {
  const start = readRange(source, 0, Math.min(source.size, 64))
  if (looksLikeZip(start)) return 'torch-zip'
  if (looksLikeTorchLegacy(start)) return 'torch-legacy'
  if (looksLikeSafetensors(start)) return 'safetensors'
  throw new Malformed(`looks like ${describe(start)}, not like a checkpoint; ${ACCEPTED}`)
}

/** First bytes of files that are given instead of a checkpoint by mistake. */
const KNOWN: readonly [start: string, what: string][] = [
  ['version https://git-lfs', 'a Git LFS pointer (run `git lfs pull`)'],
  ['<', 'a web page (a download that wanted a login?)'],
  ['{', 'a JSON file'],
  ['GGUF', 'a GGUF model'],
  ['\x89HDF', 'an HDF5 file'],
  ['\x89PNG', 'a PNG image'],
  ['\x93NUMPY', 'a NumPy array'],
  ['\x1f\x8b', 'a gzip archive (unpack it)'],
  ['PK', 'an empty zip archive'],
  ['\x80', 'a pickle that torch.save did not write'],
]

function describe(start: Buffer): string {
  if (start.length === 0) return 'an empty file'
  const text = start.toString('latin1')
  const known = KNOWN.find(([beginning]) => text.startsWith(beginning))
  if (known !== undefined) return known[1]
  if (/^[\t\n\r -~]*$/.test(text)) return 'text'
  return `unknown data (it begins with ${start.subarray(0, 8).toString('hex')})`
}
