import type { FlowModelInfo } from '../../load.js'
import type { Prepared } from '../../prepare.js'
import { byteCount, count, dimensions, duration, pixels } from '../amounts.js'
import { describeChoice } from '../choice.js'
import { type Row, table } from '../table.js'
import type { FlowReport, RunReport, WrittenFile } from './report.js'

const KINDS: Readonly<Record<WrittenFile['kind'], string>> = {
  flow: '',
  colors: 'colours',
  arrows: 'arrows',
  confidence: 'confidence',
  occlusion: 'occlusion',
}

/** Describes the results of `run` for people. */
export function summarize(report: RunReport): string[] {
  const { info, timings, forward, backward, files } = report
  const passes = [...timings.backbone, timings.head]
  const total = passes.reduce((sum, time) => sum + time, 0)
  const [a = 0, b = 0] = timings.backbone
  const head = report.refine === 'off' ? 'head' : 'head and refinement'
  const rows: Row[] = [
    ['frames', framesLine(report), ...faultLines(report)],
    ['engine', engineLine(info)],
    ...preparedRows(report.prepared),
    ['load', `${duration(timings.load)} (weights of ${byteCount(info.memory.weights)})`],
    ...choiceRows(info),
    [
      'flow',
      `${duration(total)} (backbone ${duration(a)} + ${duration(b)}, ${head} ${duration(timings.head)})`,
    ],
    ['refined', report.refine],
    ['motion', motionLine(forward)],
  ]
  if (backward !== null && timings.backwardHead !== null)
    rows.push([
      'backward',
      `${duration(timings.backwardHead)} (${head} alone), motion ${motionLine(backward)}`,
    ])
  rows.push(
    files.length === 0
      ? ['wrote', 'nothing: --output, --viz, --arrows, --confidence and --occlusion name files']
      : ['wrote', ...files.map(fileLine)],
  )
  return table(rows)
}

export function engineLine(info: FlowModelInfo): string {
  return [info.engine, info.device, ...engineDetails(info), info.precision].join(', ')
}

/** What computes the backbone, and why, for each size that was prepared. */
export function preparedRows(prepared: readonly Prepared[]): Row[] {
  return prepared.length === 0 ? [] : [['backbone', ...prepared.map(describePrepared)]]
}

export function describePrepared({ backboneEngine, reason, tensorrt }: Prepared): string {
  if (backboneEngine === 'kernels' || tensorrt === null) return `kernels: ${reason ?? ''}`
  const { version, milliseconds } = tensorrt
  return `TensorRT ${version}, ${duration(milliseconds.tensorrt)} a frame (kernels ${duration(milliseconds.kernels)})`
}

/** Which models of the files were taken, where there was a choice. */
export function choiceRows({ choice }: FlowModelInfo): Row[] {
  return (['backbone', 'head'] as const)
    .filter((model) => choice[model].others.length > 0)
    .map((model) => [model, describeChoice(choice[model], `--${model}-prefix`)])
}

function engineDetails({ gpu, instructionSet, threads }: FlowModelInfo): string[] {
  if (gpu !== null) return [`compute capability ${gpu.computeCapability}`]
  return [instructionSet ?? '', count(threads ?? 0, 'thread')]
}

function framesLine({ frames, network, forward }: RunReport): string {
  const sizes = [...new Set(frames.map(dimensions))].join(' and ')
  const first = frames[0]
  const resized =
    first !== undefined && dimensions(first) !== dimensions(forward) ? `, flow of ${dimensions(forward)}` : ''
  return `${sizes} (width x height), computed at ${dimensions(network)}${resized}`
}

/** What was wrong with the pictures that were read all the same. */
function faultLines({ frames }: RunReport): string[] {
  const faulty = frames.filter(({ fault }) => fault !== null)
  return faulty.map(({ path, fault }) => `note: ${path} has a fault: ${fault} (--strict refuses it)`)
}

function motionLine({ motion }: FlowReport): string {
  const unknown = motion.unknown === 0 ? '' : `, ${motion.unknown} pixels unknown`
  return `mean ${pixels(motion.mean)}, max ${pixels(motion.max)}${unknown}`
}

function fileLine({ path, kind }: WrittenFile): string {
  return KINDS[kind] === '' ? path : `${path} (${KINDS[kind]})`
}
