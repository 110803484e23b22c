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
        `What \`dinov3-flow bench --markdown\` writes of \`bench/results/${name}.json\`.`,
        '',
        ...toMarkdown(sectionsOf(report, report.comparison)).map((line) => line.replace(/^###/, '##')),
      ].join('\n'),
    })),
}
