import type { Inspection } from '../../checkpoint/inspect.js'
import type { FoundNormalization } from '../../checkpoint/normalization.js'
import type { CheckpointChoice } from '../../checkpoint/candidates.js'
import type { BackboneConfig, HeadConfig } from '../../checkpoint/tensor.js'
import { quoted } from '../../support/quote.js'
import { byteCount, count } from '../amounts.js'
import { describeChoice } from '../choice.js'
import { type Row, table } from '../table.js'

/** Number of names listed of each kind, unless all of them are asked for. */
const FEW = 6

/** Published DINOv3 models. */
const KNOWN: readonly (readonly [name: string, dim: number, depth: number, ffn: BackboneConfig['ffn']])[] = [
  ['ViT-S/16', 384, 12, 'mlp'],
  ['ViT-S+/16', 384, 12, 'swiglu'],
  ['ViT-B/16', 768, 12, 'mlp'],
  ['ViT-L/16', 1024, 24, 'mlp'],
  ['ViT-H+/16', 1280, 32, 'swiglu'],
]

/** Whether every model in a file can be loaded as it is. */
export function isUsable({ kind, missing, problems }: Inspection): boolean {
  return kind !== 'unknown' && missing.length === 0 && problems.length === 0
}

/** Describes a checkpoint for people. Names come from the file, so they are quoted: they must not control the terminal. */
export function describeInspection(found: Inspection, names: 'few' | 'all'): string[] {
  const rows: Row[] = [
    ['format', formatLine(found)],
    ['tensors', tensorsLine(found)],
  ]
  if (found.kind.startsWith('backbone'))
    rows.push([
      'backbone',
      backboneLine(found.backbone, found.layout),
      ...choiceLines(found.choice.backbone),
      ...pixelLines(found.normalization),
    ])
  if (found.kind.endsWith('head'))
    rows.push(['head', headLine(found.head), ...choiceLines(found.choice.head)])
  if (found.missing.length > 0) rows.push(['missing', ...nameList(found.missing, names)])
  if (found.problems.length > 0) rows.push(['problems', ...shortened(found.problems, names)])
  if (found.unused.length > 0) rows.push(['unused', ...nameList(found.unused, names)])
  if (found.skipped.length > 0) rows.push(['skipped', ...skippedLines(found.skipped, names)])
  rows.push(['usable', usableLine(found)])
  const lines = [found.path, ...table(rows, '  ')]
  return names === 'all' ? [...lines, ...tensorTable(found)] : lines
}

function formatLine({ format, shards, size }: Inspection): string {
  return [format, ...(shards === null ? [] : [count(shards, 'shard')]), byteCount(size)].join(', ')
}

/** Where the model's tensors are, if their names have a prefix or there are several models. */
function choiceLines(choice: CheckpointChoice | null): string[] {
  if (choice === null || (choice.prefix === '' && choice.others.length === 0)) return []
  return [describeChoice(choice, '--prefix')]
}

/** The scale of pixels, where a file beside the checkpoint tells it. */
function pixelLines(found: FoundNormalization | null): string[] {
  if (found === null || found.from === 'default') return []
  return [`pixels of mean ${found.mean.join(', ')} and standard deviation ${found.std.join(', ')}`]
}

function skippedLines(names: readonly string[], which: 'few' | 'all'): string[] {
  return ['Python objects, neither read nor run:', ...nameList(names, which)]
}

function tensorsLine({ tensors }: Inspection): string {
  const values = tensors.reduce((sum, { shape }) => sum + shape.reduce((n, side) => n * side, 1), 0)
  const types = new Map<string, number>()
  for (const { dtype } of tensors) types.set(dtype, (types.get(dtype) ?? 0) + 1)
  const byType = [...types].map(([type, n]) => (types.size === 1 ? type : `${n} ${type}`)).join(', ')
  return tensors.length === 0 ? 'none' : `${tensors.length} (${byType}), ${rounded(values)} values`
}

const NAMES = { meta: "Meta's", huggingface: "transformers'", timm: "timm's" }

function backboneLine(config: BackboneConfig | null, layout: Inspection['layout']): string {
  if (config === null) return 'DINOv3 ViT, not complete'
  const { dim, depth, heads, headDim, ffn, hidden, patch, storageTokens } = config
  const known =
    patch === 16 ? KNOWN.find(([, ...numbers]) => numbers.join() === [dim, depth, ffn].join()) : undefined
  const kind = ffn === 'swiglu' ? 'SwiGLU' : 'MLP'
  const parts = [
    `width ${dim}`,
    count(depth, 'block'),
    `${count(heads, 'head')} of ${headDim}`,
    `${kind} ${hidden}`,
    `patch ${patch}`,
    count(storageTokens, 'storage token'),
    `${NAMES[layout ?? 'meta']} names`,
  ]
  return `DINOv3 ${known?.[0] ?? 'ViT'}: ${parts.join(', ')}`
}

function headLine(config: HeadConfig | null): string {
  if (config === null) return 'flow head, not complete'
  const { inChannels, proj, radius, fusion, layers, up, refine } = config
  const refined = refine === 0 ? 'no refinement' : `refinement of ${count(refine, 'layer')}`
  return (
    `flow head: input ${inChannels}, projection ${proj}, radius ${radius}, fusion ${fusion}, ` +
    `${count(layers, 'layer')}, ${refined}, upsampling ${up}`
  )
}

function usableLine(found: Inspection): string {
  if (isUsable(found)) return `yes, as ${found.kind === 'backbone+head' ? 'backbone and head' : found.kind}`
  return found.kind === 'unknown' ? 'no: neither a DINOv3 backbone nor a flow head' : 'no'
}

function tensorTable({ tensors }: Inspection): string[] {
  if (tensors.length === 0) return []
  const names = tensors.map(({ name }) => quoted(name))
  const width = Math.max(...names.map(({ length }) => length)) + 2
  const lines = tensors.map(
    ({ dtype, shape }, i) => `  ${names[i]!.padEnd(width)}${dtype.padEnd(10)}[${shape.join(', ')}]`,
  )
  return ['', ...lines]
}

function nameList(names: readonly string[], which: 'few' | 'all'): string[] {
  return shortened(names.map(quoted), which)
}

function shortened(lines: readonly string[], which: 'few' | 'all'): string[] {
  // One more name is listed instead of the line "and 1 more".
  if (which === 'all' || lines.length <= FEW + 1) return [...lines]
  return [...lines.slice(0, FEW), `and ${lines.length - FEW} more (--tensors lists them)`]
}

function rounded(n: number): string {
  const [unit, name] = n < 1e6 ? [1e3, 'thousand'] : [1e6, 'million']
  return n < 1e4 ? String(n) : `${(n / unit).toFixed(n / unit < 10 ? 2 : 0)} ${name}`
}
