/**
 * Calls `work` with every item, `width` of them at a time. After a failure no further item is begun. The promise is settled
 * when nothing runs any more; it is rejected with the first error.
 */
export async function each(items, width, work) {
  const left = items.values()
  let failed = false
  const drain = async () => {
    for (const item of left) {
      if (failed) return
      try {
        await work(item)
      } catch (error) {
        failed = true
        throw error
      }
    }
  }
  const outcomes = await Promise.allSettled(Array.from({ length: width }, drain))
  for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason
}
