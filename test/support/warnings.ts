import { once } from 'node:events'

/** The warnings of this process while `work` runs, as `code: message`. */
export async function warningsOf(work: () => Promise<void>): Promise<string[]> {
  const warnings: (Error & { readonly code?: string })[] = []
  const listen = (warning: Error) => void warnings.push(warning)
  process.on('warning', listen)
  try {
    await work()
    // Warnings come with the next tick, and so before this one.
    const last = once(process, 'warning')
    process.emitWarning('the last one')
    await last
  } finally {
    process.off('warning', listen)
  }
  return warnings.slice(0, -1).map(({ code, message }) => `${code}: ${message}`)
}
