/** The grid of patches: of one size, or of any. */
export type GraphGrid = { readonly height: number; readonly width: number } | 'dynamic'
