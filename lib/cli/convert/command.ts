import { extname } from 'node:path'
import type { Command } from 'commander'
import { type PngCode, readFlow, writeFlow } from '../../formats/index.js'
import { beyondKitti } from '../../formats/kitti.js'
import { count, dimensions } from '../amounts.js'
import { STANDARD_INPUT } from '../../support/read-file.js'
import { shortPath } from '../../support/quote.js'
import { type Cli, printLines, UsageError } from '../cli.js'
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
    .action(async (from: string, to: string, flags: { readonly pngCode: PngCode }, command: Command) => {
      if (command.getOptionValueSource('pngCode') === 'cli') checkReadsPng(from)
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

/** Refuses a code for what is written: that is KITTI's, and would be taken for another. */
function checkReadsPng(from: string): void {
  if (from === STANDARD_INPUT || extname(from).toLowerCase() === '.png') return
  throw new UsageError(
    `--png-code is for a PNG that is read, and ${shortPath(from)} is none: leave it out, the code that is written is kitti`,
  )
}
