import { setImmediate as turn } from 'node:timers/promises'

/** Lets one side wait until the other side has something new. */
class Bell {
  #ring = () => {}
  #rung = new Promise<void>((resolve) => (this.#ring = resolve))

  async wait(): Promise<void> {
    await this.#rung
    this.#rung = new Promise<void>((resolve) => (this.#ring = resolve))
  }

  ring(): void {
    this.#ring()
  }
}

/**
 * Reads a source in the background, and yields the results of `push` for its items, in order.
 *
 * @param push starts the work for an item
 * @param wanted results for which it returns false are left out
 * @param limit the source is not read while this many results wait for the consumer
 * @throws the error of the source, after the results of its items; the error of a result
 */
export async function* readAhead<Item, Result>(
  source: AsyncIterable<Item> | Iterable<Item>,
  push: (item: Item) => Promise<Result>,
  wanted: (result: Result) => boolean,
  limit: number,
): AsyncGenerator<Result, void, undefined> {
  const items = Symbol.asyncIterator in source ? source[Symbol.asyncIterator]() : source[Symbol.iterator]()
  const results: Promise<Result>[] = []
  const [filled, taken] = [new Bell(), new Bell()]
  let state: 'reading' | 'ended' | 'left' = 'reading'
  let failure: { readonly error: unknown } | undefined

  const add = (result: Promise<Result>) => {
    results.push(result)
    // Unwanted results go at once, so that they do not pile up for a slow consumer. Errors are thrown below, where results are
    // awaited.
    result.then(
      (value) => {
        if (wanted(value)) return
        results.splice(results.indexOf(result), 1)
        taken.ring()
      },
      () => {},
    )
    filled.ring()
  }
  const read = async () => {
    try {
      for (;;) {
        while (results.length >= limit && state === 'reading') await taken.wait()
        if (state !== 'reading') return
        const next = await items.next()
        if (next.done === true || (state as string) === 'left') return
        add(push(next.value))
        // A source that never waits must not block the event loop.
        if (limit === Infinity) await turn()
      }
    } catch (error) {
      failure = { error }
    } finally {
      if (state === 'reading') state = 'ended'
      filled.ring()
    }
  }

  void read()
  try {
    for (;;) {
      while (results.length === 0 && state === 'reading') await filled.wait()
      if (results.length === 0) break
      const first = results[0]!
      const result = await first
      if (results[0] !== first) continue
      results.shift()
      taken.ring()
      yield result
    }
    if (failure !== undefined) throw failure.error
  } finally {
    if (state === 'reading') {
      state = 'left'
      taken.ring()
      // Not awaited: a source that waits for its next item answers later.
      void Promise.resolve(items.return?.()).catch(() => {})
    }
  }
}
