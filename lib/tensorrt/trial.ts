/** What a plan was found to be: it was run on two frames, and measured beside the kernels. */
export interface Trial {
  /** Cosine of the features of TensorRT and of the kernels, for a picture and for noise; null if they are not finite. */
  readonly cosines: readonly (number | null)[]
  /** Milliseconds of one pass of the backbone. */
  readonly milliseconds: { readonly kernels: number; readonly tensorrt: number }
}

/** A trial that was kept as JSON; undefined if it is none. */
export function parseTrial(text: string): Trial | undefined {
  try {
    const { cosines, milliseconds } = JSON.parse(text) as Partial<Trial>
    const { kernels, tensorrt } = milliseconds ?? {}
    if (!Array.isArray(cosines) || typeof kernels !== 'number' || typeof tensorrt !== 'number')
      return undefined
    return { cosines, milliseconds: { kernels, tensorrt } }
  } catch {
    return undefined
  }
}
