import type { Source } from './source.js'

/** Bytes per element of every {@link DType}. */
export const DTYPE_BYTES = {
  float64: 8,
  float32: 4,
  float16: 2,
  bfloat16: 2,
  float8_e4m3: 1,
  float8_e4m3fnuz: 1,
  float8_e5m2: 1,
  float8_e5m2fnuz: 1,
  float8_e8m0: 1,
  complex128: 16,
  complex64: 8,
  complex32: 4,
  int64: 8,
  int32: 4,
  int16: 2,
  int8: 1,
  uint64: 8,
  uint32: 4,
  uint16: 2,
  uint8: 1,
  bool: 1,
  /** A type whose size is not known. Such a tensor has a reason in `unreadable`. */
  other: 0,
} as const

/**
 * Element types of a checkpoint's tensors. Weights are float64, float32, float16 or bfloat16; the other types are only listed.
 *
 * @useDeclaredType
 */
export type DType = keyof typeof DTYPE_BYTES

/** One tensor of a checkpoint file: the place of its bytes in the file, not the bytes themselves. */
export interface StoredTensor {
  /** The name in the file. The keys of nested dictionaries are joined with dots. */
  readonly name: string
  readonly dtype: DType
  readonly shape: readonly number[]
  /** Elements from one index to the next, per axis. */
  readonly strides: readonly number[]
  /** The file that holds its bytes: a model in shards has several. */
  readonly file: Source
  /** Bytes from the beginning of the file to element [0, ..., 0]. */
  readonly offset: number
  /** Whether the values are those of the file times -1: PyTorch's neg bit. */
  readonly negated: boolean
  /** Reason why the bytes cannot be read as values; it continues "tensor x ...". The tensor may not be needed. */
  readonly unreadable?: string | undefined
}

/** A file, or a model in shards, that was opened and checked: every tensor lies inside its file. */
export interface CheckpointFile {
  /** Path of the file; of the index, if there are shards. */
  readonly path: string
  readonly format: 'safetensors' | 'torch-zip' | 'torch-legacy'
  /** Number of files that hold the tensors; undefined for a file by itself. */
  readonly shards: number | undefined
  /** Bytes, of all shards. */
  readonly size: number
  readonly tensors: ReadonlyMap<string, StoredTensor>
  /** Python objects of a pickle that were skipped, as `module.class`, by their name among the tensors. */
  readonly objects: ReadonlyMap<string, string>
  /** Every Python name that the pickle refers to and that was skipped, at most 100. None of them was called. */
  readonly skipped: readonly string[]
  /** safetensors' `__metadata__`; empty elsewhere. */
  readonly metadata: Readonly<Record<string, string>>
  /** Closes the files. The weights are read from them until then, so they are the files that were checked. */
  close(): void
}

/** A piece of a weight: a whole stored tensor, or a number of elements that are all zero. */
export type WeightPart = { readonly file: Source; readonly tensor: StoredTensor } | { readonly zeros: number }

/**
 * A weight under its canonical name: Meta's for the backbone, the seed's for the head. Its parts are joined along the first
 * axis. Hugging Face's q, k and v become one `attn.qkv`.
 */
export interface Weight {
  readonly name: string
  readonly shape: readonly number[]
  readonly parts: readonly WeightPart[]
}

/** The backbone's architecture, derived from the checkpoint's shapes. */
export interface BackboneConfig {
  /** Width of a token. */
  readonly dim: number
  /** Number of blocks. */
  readonly depth: number
  readonly heads: number
  /** `dim / heads`. */
  readonly headDim: number
  /** SwiGLU `w3(silu(w1 x) * w2 x)`, or an MLP with exact GELU. */
  readonly ffn: 'swiglu' | 'mlp'
  /** Width of the FFN's hidden layer. */
  readonly hidden: number
  /** Side of a square patch in pixels. */
  readonly patch: number
  /** Register tokens between cls and the patches. */
  readonly storageTokens: number
}

/** The flow head's architecture, derived from the checkpoint's shapes. */
export interface HeadConfig {
  /** Channels of the input features: the backbone's `dim`. */
  readonly inChannels: number
  /** Channels of the projection in front of the correlation. */
  readonly proj: number
  /** Radius of the correlation window, in patches. */
  readonly radius: number
  /** Channels of the trunk. */
  readonly fusion: number
  /** [DSConv, SE, DSConv] groups of the trunk. */
  readonly layers: number
  /** Factor of the convex upsampling. */
  readonly up: number
  /** Groups of the refinement trunk; 0 if there is no refinement. */
  readonly refine: number
}
