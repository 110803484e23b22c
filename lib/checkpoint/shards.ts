import { existsSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { listed, quoted, shown } from '../support/quote.js'
import { isRecord, parseObject } from './json.js'
import { Malformed } from './malformed.js'
import { readRange, type Source } from './source.js'
import type { CheckpointFile, StoredTensor } from './tensor.js'

// transformers' and diffusers' index of a model in shards: { metadata: {...}, weight_map: { "<tensor>": "<file>" } }.

/** Limits on the index. The largest published models have 200 shards. Each of them is an open file here. */
const LONGEST_INDEX = 16 << 20
const DEEPEST_INDEX = 8
const MOST_SHARDS = 256

/** The tensors of each shard, by the shard's file name. */
export type ShardIndex = ReadonlyMap<string, readonly string[]>

/**
 * Reads the index of a model in shards.
 *
 * @throws {Malformed} if it is another JSON file, or names shards that are not files beside it
 */
export function readIndex(source: Source): ShardIndex {
  if (source.size > LONGEST_INDEX)
    throw new Malformed(
      `looks like a JSON file of ${source.size} bytes, more than an index of shards has`,
      'give the file with the weights',
    )
  const index = parseObject(readRange(source, 0, source.size), 'its text', DEEPEST_INDEX)
  const map = index['weight_map']
  if (!isRecord(map))
    throw new Malformed(
      'is a JSON file without weight_map, so no index of shards',
      'give the file with the weights',
    )
  const shards = new Map<string, string[]>()
  for (const [tensor, shard] of Object.entries(map)) {
    if (typeof shard !== 'string' || !isFileName(shard))
      throw new Malformed(
        `says that ${quoted(tensor)} is in ${shown(shard)}, which is no name of a file beside it`,
        'fetch the index again, and its shards into the same folder',
      )
    const tensors = shards.get(shard)
    if (tensors === undefined) shards.set(shard, [tensor])
    else tensors.push(tensor)
    if (shards.size > MOST_SHARDS)
      throw new Malformed(`names more than ${MOST_SHARDS} shards`, 'save it in fewer')
  }
  if (shards.size === 0) throw new Malformed('has an empty weight_map', 'fetch it again')
  return shards
}

/** A shard must lie beside its index: a hostile index could name any file of the system. */
function isFileName(name: string): boolean {
  return /^[^/\\\0]{1,255}$/.test(name) && name !== '.' && name !== '..'
}

/**
 * Opens the shards that an index names, and joins their tensors.
 *
 * @param open - opens one shard
 * @throws {Malformed} if a shard is not there, or does not hold what the index says
 * @throws {FlowError} as `open`
 */
export function openShards(
  source: Source,
  index: ShardIndex,
  open: (path: string) => CheckpointFile,
): CheckpointFile {
  const folder = dirname(source.path)
  const absent = [...index.keys()].filter((shard) => !existsSync(join(folder, shard)))
  if (absent.length > 0)
    throw new Malformed(
      `names ${index.size} shards, of which ${absent.length} are not beside it`,
      `fetch ${listed(absent.slice(0, 2))}`,
    )
  const files: CheckpointFile[] = []
  const close = (): void => files.forEach((file) => file.close())
  try {
    const tensors = new Map<string, StoredTensor>()
    const objects = new Map<string, string>()
    for (const [shard, names] of index) {
      const file = open(join(folder, shard))
      files.push(file)
      for (const name of names) {
        const tensor = file.tensors.get(name)
        if (tensor === undefined)
          throw new Malformed(
            `says that ${quoted(name)} is in ${quoted(shard)}, which does not hold it`,
            'fetch index and shards again',
          )
        tensors.set(name, tensor)
      }
      for (const [name, object] of file.objects) objects.set(name, object)
    }
    const [first] = files
    return {
      path: source.path,
      format: first?.format ?? 'safetensors',
      shards: files.length,
      size: files.reduce((sum, { size }) => sum + size, 0),
      tensors,
      objects,
      skipped: [...new Set(files.flatMap(({ skipped }) => skipped))],
      metadata: first?.metadata ?? {},
      close,
    }
  } catch (error) {
    close()
    throw error
  }
}

/** What to do with a file that is one shard of several by its name; undefined for any other file. */
export function describeShard(path: string): string | undefined {
  const [, model, number, count, extension] =
    /^(.+?)[-_.](\d{1,6})-of-(\d{1,6})\.(\w+)$/.exec(basename(path)) ?? []
  if (model === undefined || extension === undefined || Number(count) < 2) return undefined
  const index = `${model}.${extension}.index.json`
  return `it is shard ${Number(number)} of ${Number(count)}: give the folder, or ${quoted(index)}, with all shards beside it`
}
