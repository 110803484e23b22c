import type { Command } from 'commander'
import { AnsweredNo, type Cli, printJson, printLines } from '../cli.js'
import { describeDiagnosis } from './describe-diagnosis.js'
import { diagnose } from './diagnose.js'

interface DoctorFlags {
  readonly json?: true
}

export function addDoctor(program: Command, cli: Cli): void {
  program
    .command('doctor')
    .summary('test the engines on this machine')
    .description(
      'Tests the engines on this machine. For one that does not work it gives the reason and a remedy.\n' +
        'Paste the output into bug reports. With TensorRT, it builds a small engine, which takes up to a minute.\n' +
        'Exits with 1 if the CPU engine does not work.',
    )
    .option('--json', 'print one JSON object')
    .action(async (flags: DoctorFlags) => {
      const found = await diagnose()
      if (flags.json === true) printJson(cli.out, found)
      else printLines(cli.out, describeDiagnosis(found))
      if (!found.ok) throw new AnsweredNo()
    })
}
