import { benchReports } from '../.vitepress/figures.js'

declare const data: readonly string[]
export { data }

export default {
  watch: ['../../bench/results/*.json'],
  load: (): readonly string[] => benchReports().map(({ name }) => name),
}
