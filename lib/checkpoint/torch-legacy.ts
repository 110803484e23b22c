import { quoted } from '../support/quote.js'
import type { Directory } from './directory.js'
import { Malformed } from './malformed.js'
import { PickleDict, PickleList, type PickleValue } from './pickle-values.js'
import { plainData, unpickle } from './pickle.js'
import { readRange, type Source } from './source.js'
import { stateDict } from './state-dict.js'
import { TorchHost, type TorchStorage } from './torch-objects.js'
import { storedTensors } from './torch-tensors.js'

// torch/serialization.py, `_legacy_save`: five pickles (magic number, protocol, system, object, keys of the storages), then
// for each key the storage's length (u64, elements) and its data.

const MAGIC = Buffer.from('6cfc9c46f9206aa85019', 'hex')
const PROTOCOL = 1001

/** Limit on the five pickles together, which stand before the data without their length. */
const LONGEST_PICKLES = 16 << 20

/** Whether a file's first bytes were written by torch.save before PyTorch 1.6: a pickle of the magic number. */
export function looksLikeTorchLegacy(start: Buffer): boolean {
  const at = start.indexOf(MAGIC)
  return start[0] === 0x80 && at >= 0 && at <= 16
}

/**
 * Reads the directory of a checkpoint of torch.save before PyTorch 1.6 (or `_use_new_zipfile_serialization=False`).
 *
 * @throws {Malformed} if it is damaged, big endian, holds no tensors, or a tensor reaches outside the file
 */
export function readTorchLegacy(source: Source): Directory {
  const bytes = readRange(source, 0, Math.min(source.size, LONGEST_PICKLES))
  const magic = unpickle(bytes, 0, plainData)
  const protocol = unpickle(bytes, magic.end, plainData)
  if (protocol.value !== PROTOCOL)
    throw new Malformed('is of an unknown version of the old torch.save format')
  const system = unpickle(bytes, protocol.end, plainData)
  checkByteOrder(system.value)
  const host = new TorchHost()
  const object = unpickle(bytes, system.end, host)
  const keys = unpickle(bytes, object.end, plainData)
  const starts = locate(source, keys.end, keys.value, host.storages)
  const found = stateDict(object.value)
  const tensors = storedTensors(found, source, ({ key }) => {
    const start = starts.get(key)
    if (start === undefined) throw new Malformed(`its storage ${quoted(key)} is not in the file`)
    return start
  })
  return { tensors, metadata: {}, objects: found.objects, skipped: [...object.skipped] }
}

function checkByteOrder(system: PickleValue): void {
  if (!(system instanceof PickleDict) || system.entries.get('little_endian') !== true)
    throw new Malformed('was saved on a big endian machine', 'save it again on a little endian one')
}

function locate(
  source: Source,
  begin: number,
  keys: PickleValue,
  storages: ReadonlyMap<string, TorchStorage>,
): Map<string, number> {
  if (!(keys instanceof PickleList)) throw new Malformed('its list of storages is damaged')
  const starts = new Map<string, number>()
  let at = begin
  for (const key of keys.items) {
    const storage = typeof key === 'string' ? storages.get(key) : undefined
    if (storage === undefined || starts.has(storage.key))
      throw new Malformed('its list of storages is damaged')
    if (storage.dtype === 'other')
      throw new Malformed(
        `its storage ${quoted(storage.key)} is of an unknown type`,
        'save it again without it',
      )
    const count = readRange(source, at, 8).readBigUInt64LE()
    if (count !== BigInt(storage.count))
      throw new Malformed(
        `its storage ${quoted(storage.key)} has ${count} elements instead of ${storage.count}`,
      )
    starts.set(storage.key, at + 8)
    at += 8 + storage.bytes
    if (!(at <= source.size))
      throw new Malformed(
        `is cut short: its storage ${quoted(storage.key)} ends at byte ${at} of ${source.size}`,
      )
  }
  return starts
}
