export interface Random {
  next(): number
  chance(probability: number): boolean
  integer(least: number, most: number): number
  pick<Item>(items: readonly Item[]): Item
}
export function randomFrom(seed: number): Random
