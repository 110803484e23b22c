/** Two frames and the flow between them, as files. */
export interface Pair {
  /** Of no other pair of the data set, such as `alley_1/frame_0001`. */
  readonly name: string
  /** The sequence that it belongs to; null if the data set has none. */
  readonly sequence: string | null
  readonly first: string
  readonly second: string
  /** The flow from the first to the second. */
  readonly truth: string
  /** What is hidden in the second frame; undefined if the data set does not tell. */
  readonly hidden?: Hidden | undefined
  /** A mask of pixels whose truth is invalid. */
  readonly invalid?: string | undefined
}

/** A mask of the hidden pixels, or a second ground truth that knows only those that are not hidden. */
export interface Hidden {
  readonly kind: 'mask' | 'visible truth'
  readonly path: string
}

/** The parts of a data set that one evaluation is about. */
export interface Part {
  readonly pass: 'clean' | 'final'
  readonly split: 'train' | 'val'
}

/** How the files of a data set lie, as its archives unpack. */
export interface DataSet {
  readonly title: string
  /** The files below its root, for help and messages. */
  readonly layout: string
  /** The choices of {@link Part} that it has. */
  readonly has: readonly (keyof Part)[]
  /** What is particular about its figures. */
  readonly note?: string | undefined
  /**
   * All pairs, in order. A file in the middle that is missing is not noticed here, but when the pair is read.
   *
   * @throws {FlowError} `ERR_IO` if a folder is missing, or there is no pair
   */
  list(root: string, part: Part): Promise<readonly Pair[]>
}
