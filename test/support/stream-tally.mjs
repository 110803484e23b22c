// Counts what becomes of the frames of a stream, beside the stream's own counts.
import assert from 'node:assert/strict'

const DROPS = { ERR_ABORTED: 'aborted', ERR_QUEUE_FULL: 'full', ERR_DISPOSED: 'closed' }
const REASONS = { first: 'first', size: 'first', cut: 'cuts', dropped: 'oldest', deadline: 'deadline' }

export class Tally {
  counts = {
    pushed: 0,
    computed: 0,
    first: 0,
    cuts: 0,
    duplicates: 0,
    oldest: 0,
    deadline: 0,
    full: 0,
    aborted: 0,
    failed: 0,
    closed: 0,
  }
  /** Frames whose results nobody saw. */
  unseen = 0
  #maps = 0

  #result(result) {
    // Every eighth map is left to the garbage collector.
    if (result?.features !== undefined && ++this.#maps % 8 !== 0) result.features.dispose()
    if (result === undefined) return 'first'
    if (result.flow === null) return REASONS[result.reason]
    return result.duplicate ? 'duplicates' : 'computed'
  }

  #count(outcome) {
    this.counts.pushed++
    this.counts[outcome]++
  }

  /** Counts the outcome of a push. */
  async add(push) {
    this.#count(
      await push.then(
        (result) => this.#result(result),
        ({ code }) => DROPS[code] ?? 'failed',
      ),
    )
  }

  addSync(push) {
    let outcome = 'failed'
    try {
      outcome = this.#result(push())
    } catch {
      // bad frame
    }
    this.#count(outcome)
  }

  /** Compares with the counts of a stream that has come to its end. */
  check(stats) {
    const { pushed, waiting, running, computed, first, cuts, duplicates, dropped } = stats
    assert.deepEqual({ waiting, running }, { waiting: 0, running: 0 })
    const drops = Object.values(dropped).reduce((sum, count) => sum + count, 0)
    assert.equal(computed + first + cuts + duplicates + drops, pushed)
    assert.equal(this.counts.pushed + this.unseen, pushed)
    const theirs = { pushed, computed, first, cuts, duplicates, ...dropped }
    if (this.unseen === 0) assert.deepEqual(this.counts, theirs)
    for (const [name, count] of Object.entries(this.counts)) assert.ok(count <= theirs[name], name)
  }

  /** Adds the counts of a stream, with those of frames that nobody saw. */
  merge({ pushed, computed, first, cuts, duplicates, dropped }) {
    for (const [name, count] of Object.entries({ pushed, computed, first, cuts, duplicates, ...dropped }))
      this.counts[name] += count
  }
}
