import type { Card } from './cards.mjs'

/** Builds the counter. */
export function buildCounter(): void
/** The nodes of one frame on a card, in fp16, equal ones merged. */
export function countFrame(
  card: Card,
  size: { readonly height: number; readonly width: number },
): Promise<readonly object[]>
