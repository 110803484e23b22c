import { writeFlow, writeMap } from '../../formats/index.js'
import type { Frame } from '../../frame.js'
import { backgroundOf } from '../../image/background.js'
import { saveImage } from '../../image/save.js'
import type { FlowMaps } from '../../request.js'
import { drawArrows, type FlowColorOptions, flowToColor } from '../../viz/index.js'
import { backwardName, type PlannedOutput } from '../outputs.js'
import type { WrittenFile } from './report.js'

/** The files to write. The paths are those of the forward flow. */
interface OutputFlags extends FlowColorOptions {
  readonly output?: string
  readonly viz?: string
  readonly arrows?: string
  readonly confidence?: string
  readonly occlusion?: string
  readonly backward?: true
}

/** Flow from one of the two pictures to the other. */
export interface Direction {
  readonly name: WrittenFile['direction']
  /** The picture that the flow starts from. */
  readonly frame: Frame
  readonly maps: FlowMaps
}

/** Every file that is going to be written. */
export function planOutputs(flags: OutputFlags): PlannedOutput[] {
  const { output, viz, arrows, confidence, occlusion, backward } = flags
  const outputs: PlannedOutput[] = []
  if (output !== undefined) outputs.push({ option: '--output', path: output, kind: 'flow' })
  if (viz !== undefined) outputs.push({ option: '--viz', path: viz, kind: 'picture' })
  if (arrows !== undefined) outputs.push({ option: '--arrows', path: arrows, kind: 'picture' })
  if (confidence !== undefined) outputs.push({ option: '--confidence', path: confidence, kind: 'map' })
  if (occlusion !== undefined) outputs.push({ option: '--occlusion', path: occlusion, kind: 'map' })
  if (backward !== true) return outputs
  return [...outputs, ...outputs.map((each) => ({ ...each, path: backwardName(each.path) }))]
}

/** Writes the files of one direction; returns them in the order of the options. */
export async function writeDirection(
  { name: direction, frame, maps: { flow, confidence, occlusion } }: Direction,
  flags: OutputFlags,
): Promise<WrittenFile[]> {
  const files: WrittenFile[] = []
  const add = async (
    given: string | undefined,
    kind: WrittenFile['kind'],
    write: (path: string) => Promise<void>,
  ) => {
    if (given === undefined) return
    const path = direction === 'forward' ? given : backwardName(given)
    await write(path)
    files.push({ path, kind, direction })
  }
  await add(flags.output, 'flow', (path) => writeFlow(path, flow))
  await add(flags.viz, 'colors', (path) => saveImage(path, flowToColor(flow, flags)))
  await add(flags.arrows, 'arrows', async (path) =>
    saveImage(path, await drawArrows(await backgroundOf(frame, flow), flow)),
  )
  await add(flags.confidence, 'confidence', (path) => writeMap(path, confidence!))
  await add(flags.occlusion, 'occlusion', (path) => writeMap(path, occlusion!))
  return files
}
