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
    .summary('say what works on this machine')
    .description(
      'Says what works on this machine, why other things do not, and what to do. Paste it into bug reports.\n' +
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
