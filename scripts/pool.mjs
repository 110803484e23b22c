/** Calls `work` with every item, `width` of them at a time. Resolves when all are done, rejects with the first error. */
export async function each(items, width, work) {
  const left = items.values()
  const drain = async () => {
    for (const item of left) await work(item)
  }
  await Promise.all(Array.from({ length: width }, drain))
}
