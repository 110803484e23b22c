/** Calls `work` with every item, `width` of them at a time; resolves when the last one is done, rejects with the first. */
export async function each(items, width, work) {
  const left = items.values()
  const drain = async () => {
    for (const item of left) await work(item)
  }
  await Promise.all(Array.from({ length: width }, drain))
}
