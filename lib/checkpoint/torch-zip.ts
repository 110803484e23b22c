import { quoted } from '../support/quote.js'
import type { Directory } from './directory.js'
import { HOW_TO_SAVE, Malformed } from './malformed.js'
import { LONGEST_PICKLE, unpickle } from './pickle.js'
import { readRange, type Source } from './source.js'
import { stateDict } from './state-dict.js'
import { TorchHost, type TorchStorage } from './torch-objects.js'
import { storedTensors } from './torch-tensors.js'
import { readZip, zipDataOffset, type ZipEntry } from './zip.js'

/**
 * Reads the directory of a checkpoint of torch.save since PyTorch 1.6: a zip archive of `<name>/data.pkl`, which describes
 * the tensors, and one `<name>/data/<key>` for each storage.
 *
 * @throws {Malformed} if it is damaged, big endian, holds no tensors, or a tensor reaches outside the file
 */
export function readTorchZip(source: Source): Directory {
  const entries = readZip(source)
  const root = archiveName(entries)
  checkByteOrder(source, entries.get(`${root}/byteorder`))
  const host = new TorchHost()
  const { value, skipped } = unpickle(readEntry(source, entries.get(`${root}/data.pkl`)), 0, host)
  const found = stateDict(value)
  const starts = new Map<string, number>()
  const tensors = storedTensors(found, source, (storage) => {
    const start = starts.get(storage.key) ?? locate(source, entries, root, storage)
    starts.set(storage.key, start)
    return start
  })
  return { tensors, metadata: {}, objects: found.objects, skipped: [...skipped] }
}

function archiveName(entries: ReadonlyMap<string, ZipEntry>): string {
  const roots = [...entries.keys()].filter((name) => /^[^/]+\/data\.pkl$/.test(name))
  const [pickle, ...others] = roots
  if (pickle === undefined || others.length > 0)
    throw new Malformed('is a zip archive, but not one of torch.save: it has no data.pkl', HOW_TO_SAVE)
  const root = pickle.slice(0, -'/data.pkl'.length)
  if (entries.has(`${root}/constants.pkl`)) throw new Malformed('is a TorchScript program', HOW_TO_SAVE)
  return root
}

function checkByteOrder(source: Source, entry: ZipEntry | undefined): void {
  // PyTorch writes this entry since 2.1. An older archive has the byte order of the machine that saved it, which was
  // little endian.
  if (entry === undefined) return
  if (entry.size > 16) throw new Malformed('its byteorder entry is damaged')
  const order = readEntry(source, entry).toString('latin1')
  if (order !== 'little')
    throw new Malformed(
      `was saved on a ${quoted(order)} endian machine`,
      'save it again on a little endian one',
    )
}

function readEntry(source: Source, entry: ZipEntry | undefined): Buffer {
  if (entry === undefined) throw new Malformed('has no data.pkl')
  if (entry.size > LONGEST_PICKLE)
    throw new Malformed(
      `its ${quoted(entry.name)} of ${entry.size} bytes is longer than ${LONGEST_PICKLE}`,
      HOW_TO_SAVE,
    )
  return readRange(source, zipDataOffset(source, entry), entry.size)
}

function locate(
  source: Source,
  entries: ReadonlyMap<string, ZipEntry>,
  root: string,
  storage: TorchStorage,
): number {
  const entry = entries.get(`${root}/data/${storage.key}`)
  if (entry === undefined) throw new Malformed(`its storage ${quoted(storage.key)} is not in the file`)
  if (!(storage.bytes <= entry.size))
    throw new Malformed(
      `its storage ${quoted(storage.key)} needs ${storage.bytes} bytes, the file has ${entry.size} of it`,
    )
  return zipDataOffset(source, entry)
}
