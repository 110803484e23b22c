export interface Wasteful {
  readonly family: string
  /** The share of its time that the worst launch wastes. */
  readonly waste: number
  /** The card of that launch. */
  readonly card: string
  /** The share of a frame on that card that all launches of the family waste. */
  readonly share: number
}
export const LIMIT: number
export const REASONS: Readonly<Record<string, string>>
export function familyOf(kernel: string): string
export function wastefulOf(
  predicted: readonly {
    readonly card: { readonly name: string }
    readonly frame: {
      readonly frameUs: number
      readonly launches: readonly {
        readonly kernel: string
        readonly us: number
        readonly waste: number
        readonly [count: string]: unknown
      }[]
    }
  }[],
): readonly Wasteful[]
/** Throws unless exactly the families of `wasteful` have a reason. */
export function checkReasons(
  wasteful: readonly Pick<Wasteful, 'family' | 'waste' | 'card'>[],
  reasons: Readonly<Record<string, string>>,
): void
