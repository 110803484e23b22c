// Blocks in a list of lists, `blocks.<outer>.<inner>.norm1.weight`, as FSDP training in chunks saves them, and as blocks inside an
// nn.Sequential are named.

/** The two indices of a block in a list of lists. */
export type NestedIndex = readonly [outer: number, inner: number]

/**
 * Numbers the blocks of a model whose blocks have two indices.
 *
 * - If the inner indices differ, they are the numbers: DINOv2 pads its chunks with identities, so that block 3 is `blocks.1.3`.
 * - If all inner indices are 0, the outer ones are the numbers: each block is alone in an nn.Sequential.
 * - Otherwise every list counts from 0, and the blocks follow each other.
 *
 * @returns the number of a block by its indices
 */
export function numberBlocks(indices: Iterable<NestedIndex>): (index: NestedIndex) => number {
  const lists = new Map<number, Set<number>>()
  for (const [outer, inner] of indices) lists.set(outer, (lists.get(outer) ?? new Set()).add(inner))
  const inners = [...lists.values()].flatMap((list) => [...list])
  if (new Set(inners).size === inners.length) return ([, inner]) => inner
  if (inners.every((inner) => inner === 0)) return ([outer]) => outer
  const starts = new Map<number, number>()
  let start = 0
  for (const [outer, list] of [...lists].sort(([a], [b]) => a - b)) {
    starts.set(outer, start)
    start += list.size
  }
  return ([outer, inner]) => (starts.get(outer) ?? 0) + inner
}
