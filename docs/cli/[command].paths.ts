import { listCommands } from '../.vitepress/commands.js'

/** Guides that tell more than the help. */
const GUIDES: Readonly<Record<string, readonly [file: string, title: string]>> = {
  run: ['first-flow', 'First flow'],
  video: ['video', 'Videos'],
  view: ['view', 'A page that shows a flow'],
  bench: ['camera-to-robot', 'From camera to robot'],
}

export default {
  watch: ['../../lib/cli/**/*.ts'],
  paths: () =>
    listCommands().map(({ name, summary, help }) => {
      const guide = GUIDES[name]
      const more = guide === undefined ? '' : `Guide: [${guide[1]}](../guide/${guide[0]}.md)\n\n`
      return {
        params: { command: name },
        content: `# dinov3-flow ${name}\n\nTo ${summary}.\n\n${more}\`\`\`text\n${help.trimEnd()}\n\`\`\`\n`,
      }
    }),
}
