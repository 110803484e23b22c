import { extname } from 'node:path'
import type { Command } from 'commander'
import { type PngCode, readFlow, writeFlow } from '../../formats/index.js'
import { beyondKitti } from '../../formats/kitti.js'
import { count, dimensions } from '../amounts.js'
import { type Cli, printLines } from '../cli.js'
import { FLOW_FILES, pngCodeOption } from '../flow-input.js'
import { checkOutputs } from '../outputs.js'

export function addConvert(program: Command, cli: Cli): void {
  program
    .command('convert')
    .summary('turn a flow file into another format')
    .description(
      'Turns a flow file into another format: .flo, .png (KITTI), .pfm, .npy or .flo5.\n' +
        'All but KITTI keep every known value; KITTI rounds to 1/64 px and clamps to +-512 px.',
    )
    .argument('<in>', `flow file to read: ${FLOW_FILES}`)
    .argument('<out>', 'flow file to write; its extension gives the format')
    .addOption(pngCodeOption())
    .addHelpText(
      'after',
      `
Examples:
  dinov3-flow convert flow.flo flow.npy
  dinov3-flow convert dsec.png flow.flo --png-code dsec`,
    )
    .action(async (from: string, to: string, flags: { readonly pngCode: PngCode }) => {
      checkOutputs([{ option: 'out', path: to, kind: 'flow' }], [from])
      const flow = await readFlow(from, flags)
      await writeFlow(to, flow)
      const { unknown } = flow.magnitude()
      const notes = [dimensions(flow)]
      if (unknown > 0) notes.push(`${count(unknown, 'pixel')} unknown`)
      const clamped = extname(to).toLowerCase() === '.png' ? beyondKitti(flow) : 0
      if (clamped > 0) notes.push(`${count(clamped, 'pixel')} beyond 512 px clamped`)
      printLines(cli.out, [`wrote ${to}: ${notes.join(', ')}`])
    })
}
