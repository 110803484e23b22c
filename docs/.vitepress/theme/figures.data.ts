import { FIGURES, type Figures, type FiguresName } from '../figures.js'

export type Data = Readonly<Record<FiguresName, Figures>>

declare const data: Data
export { data }

export default {
  watch: ['../../../bench/results/*.json'],
  load: (): Data => Object.fromEntries(Object.entries(FIGURES).map(([name, make]) => [name, make()])) as Data,
}
