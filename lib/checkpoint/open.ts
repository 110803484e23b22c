import { closeSync, existsSync, readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { ioError } from '../support/io-error.js'
import { quoted } from '../support/quote.js'
import type { Directory } from './directory.js'
import { Malformed } from './malformed.js'
import { refusal } from './refusal.js'
import { looksLikeSafetensors, readSafetensors } from './safetensors.js'
import { describeShard, openShards, readIndex } from './shards.js'
import { openSource, readRange, type Source } from './source.js'
import type { CheckpointFile } from './tensor.js'
import { looksLikeTorchLegacy, readTorchLegacy } from './torch-legacy.js'
import { readTorchZip } from './torch-zip.js'
import { looksLikeZip } from './zip.js'

const ACCEPTED =
  'give a safetensors file, a state dict of torch.save (.pth, .pt, .ckpt, .bin), or an index of shards'

/**
 * Opens a checkpoint and checks its directory of tensors; their data is not read. The format is detected from the content. A
 * folder stands for the model in it, as in Hugging Face's models: `model.safetensors` or `pytorch_model.bin`, or the index of
 * either in shards. An index stands for its shards.
 *
 * @throws {FlowError} `ERR_IO` if a file cannot be read; `ERR_CHECKPOINT_FORMAT` if it is damaged, hostile or of another
 *   format. The message names the file, the tensor if there is one, and the reason.
 */
export function openCheckpoint(path: string): CheckpointFile {
  return withSource(resolveFolder(path), (source) => {
    const kind = sniff(source)
    if (kind !== 'json') return new OpenCheckpoint(source, kind, READERS[kind](source))
    const file = openShards(source, readIndex(source), openShard)
    closeSync(source.fd)
    return file
  })
}

function openShard(path: string): CheckpointFile {
  return withSource(path, (source) => {
    const kind = sniff(source)
    if (kind === 'json') throw new Malformed(`looks like a JSON file, not like a shard`, ACCEPTED)
    return new OpenCheckpoint(source, kind, READERS[kind](source))
  })
}

/** Closes the file if `read` throws. */
function withSource(path: string, read: (source: Source) => CheckpointFile): CheckpointFile {
  const source = openSource(path)
  try {
    return read(source)
  } catch (error) {
    closeSync(source.fd)
    if (error instanceof Malformed) throw refusal('ERR_CHECKPOINT_FORMAT', path, error.message, error)
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
  readonly shards = undefined
  readonly tensors: Directory['tensors']
  readonly objects: Directory['objects']
  readonly skipped: Directory['skipped']
  readonly metadata: Directory['metadata']
  private closed = false

  constructor(
    private readonly source: Source,
    readonly format: CheckpointFile['format'],
    directory: Directory,
  ) {
    this.path = source.path
    this.size = source.size
    this.tensors = directory.tensors
    this.objects = directory.objects
    this.skipped = directory.skipped
    this.metadata = directory.metadata
  }

  close(): void {
    // Only once: after that the system may give the same descriptor to another file.
    if (this.closed) return
    this.closed = true
    closeSync(this.source.fd)
  }
}

/** The files that stand for a folder, the first of them that is there. */
const FOLDER_FILES = [
  'model.safetensors',
  'model.safetensors.index.json',
  'pytorch_model.bin',
  'pytorch_model.bin.index.json',
]

function resolveFolder(path: string): string {
  if (!isFolder(path)) return path
  const name = FOLDER_FILES.find((file) => existsSync(join(path, file)))
  if (name !== undefined) return join(path, name)
  const files = readdirSync(path)
  const [index, ...others] = files.filter((file) => /\.index(\.\w+)?\.json$/.test(file))
  if (index !== undefined && others.length === 0) return join(path, index)
  const shard = files.find((file) => describeShard(file) !== undefined)
  if (shard !== undefined)
    throw refusal(
      'ERR_CHECKPOINT_FORMAT',
      path,
      `holds the shard ${quoted(shard)} but no index: fetch model.safetensors.index.json into it`,
    )
  throw refusal(
    'ERR_CHECKPOINT_FORMAT',
    path,
    `is a folder without ${FOLDER_FILES.join(', ')}: give the path of the file with the weights`,
  )
}

function isFolder(path: string): boolean {
  try {
    return statSync(path).isDirectory()
  } catch (cause) {
    throw ioError(path, 'read', cause)
  }
}

function sniff(source: Source): CheckpointFile['format'] | 'json' {
  const start = readRange(source, 0, Math.min(source.size, 64))
  if (looksLikeZip(start)) return 'torch-zip'
  if (looksLikeTorchLegacy(start)) return 'torch-legacy'
  // A safetensors file begins with a length, which no JSON text can be. Editors of Windows put a byte order mark in front of a text.
  if (/^(?:\xef\xbb\xbf)?\s*\{[\t\n\r -~]*$/.test(start.toString('latin1'))) return 'json'
  if (looksLikeSafetensors(start)) return 'safetensors'
  throw new Malformed(`looks like ${describe(start)}, not like a checkpoint`, ACCEPTED)
}

/** First bytes of files that are given instead of a checkpoint by mistake. */
const KNOWN: readonly [start: string, what: string][] = [
  ['version https://git-lfs', 'a Git LFS pointer (run `git lfs pull`)'],
  ['<', 'a web page (a download that wanted a login?)'],
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
