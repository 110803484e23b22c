import { type CommandHelp, listCommands, programHelp } from '../.vitepress/commands.js'

export interface Data {
  readonly program: string
  readonly commands: readonly CommandHelp[]
}

declare const data: Data
export { data }

export default {
  watch: ['../../lib/cli/**/*.ts'],
  load: (): Data => ({ program: programHelp().trimEnd(), commands: listCommands() }),
}
