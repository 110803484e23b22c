import { FlowError } from '../../errors.js'
import type { FlowField } from '../../flow-field.js'
import { readFlow, type ReadFlowOptions, readMask } from '../../formats/index.js'
import { readMap } from '../../formats/read-map.js'
import type { PixelMap } from '../../request.js'
import type { OutputSize } from '../../size.js'
import { isTwice, subsample } from '../../subsample.js'
import { shortPath } from '../../support/quote.js'
import { dimensions } from '../amounts.js'

/** What may belong to a flow, by the names of the options. */
export const COMPANIONS = ['backward', 'truth', 'confidence', 'occlusion'] as const

/** The files of what belongs to one flow. */
export type CompanionFiles = Readonly<Partial<Record<(typeof COMPANIONS)[number], string | undefined>>>

/** The fields of one step, all of the size of `flow`. */
export interface StepFields {
  readonly flow: FlowField
  readonly backward?: FlowField | undefined
  readonly truth?: FlowField | undefined
  readonly confidence?: PixelMap<Float32Array> | undefined
  readonly occlusion?: PixelMap<Uint8Array> | undefined
}

/**
 * Reads a flow and what belongs to it.
 *
 * @throws {FlowError} every error of reading; `ERR_ARGUMENT` if a size differs from that of the flow, naming the file
 */
export async function readStep(
  { flow: path, ...companions }: { readonly flow: string } & CompanionFiles,
  options: ReadFlowOptions,
): Promise<StepFields> {
  const flow = await readFlow(path, options)
  return { flow, ...(await readCompanions(flow, path, companions, options)) }
}

/**
 * Reads what belongs to a flow. Ground truth of twice the size, as Spring's, is subsampled as `metrics` does.
 *
 * @param name of the flow, in messages
 * @throws {FlowError} as {@link readStep}
 */
export async function readCompanions(
  flow: FlowField,
  name: string,
  files: CompanionFiles,
  options: ReadFlowOptions,
): Promise<Omit<StepFields, 'flow'>> {
  const [backward, given, confidence, occlusion] = await Promise.all([
    files.backward === undefined ? undefined : readFlow(files.backward, options),
    files.truth === undefined ? undefined : readFlow(files.truth, options),
    files.confidence === undefined ? undefined : readMap(files.confidence),
    files.occlusion === undefined ? undefined : readMask(files.occlusion),
  ])
  const truth = given !== undefined && isTwice(given, flow) ? subsample(given) : given
  const fields = { backward, truth, confidence, occlusion }
  for (const companion of COMPANIONS) {
    const size = fields[companion]
    if (size !== undefined) checkSize(`--${companion} ${shortPath(files[companion]!, 70)}`, size, name, flow)
  }
  return fields
}

/** @throws {FlowError} `ERR_ARGUMENT` if the sizes differ */
function checkSize(what: string, size: OutputSize, flowPath: string, flow: OutputSize): void {
  if (size.width === flow.width && size.height === flow.height) return
  throw new FlowError(
    'ERR_ARGUMENT',
    `${what} is ${dimensions(size)}, and the flow ${shortPath(flowPath, 70)} ${dimensions(flow)}: vectors and maps are ` +
      'not resized, so give those of the same frame and size',
  )
}
