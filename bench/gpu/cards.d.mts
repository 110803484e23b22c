export interface Card {
  readonly name: string
  readonly capability: string
  readonly image: string
  readonly multiprocessors: number
  readonly clock: number
  readonly mma: number
  readonly memory: number
  readonly l2: number
  readonly l2MiB: number
  readonly gap: number
  readonly programmaticGap?: number
  readonly threads: number
  readonly blocks: number
  readonly shared: number
}
export const CARDS: Readonly<Record<string, Card>>
