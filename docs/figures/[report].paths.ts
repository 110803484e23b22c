import { toMarkdown } from '../../lib/cli/bench/render.js'
import { sectionsOf } from '../../lib/cli/bench/sections.js'
import { benchReports } from '../.vitepress/figures.js'

export default {
  watch: ['../../bench/results/*.json'],
  paths: () =>
    benchReports().map(({ name, report }) => ({
      params: { report: name },
      content: [
        `# ${name}`,
        '',
        `The tables of \`bench/results/${name}.json\`, as \`dinov3-flow bench --markdown\` writes them.`,
        '',
        ...toMarkdown(sectionsOf(report, report.comparison)).map((line) => line.replace(/^###/, '##')),
      ].join('\n'),
    })),
}
