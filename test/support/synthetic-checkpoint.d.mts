interface SyntheticBackbone {
  readonly dim: number
  readonly depth: number
  readonly heads: number
  readonly hidden: number
  readonly ffn: 'swiglu' | 'mlp'
}

interface SyntheticHead {
  readonly proj: number
  readonly radius: number
  readonly fusion: number
  readonly layers: number
  readonly up: number
  readonly refine: number
}

export const BACKBONES: Readonly<Record<string, SyntheticBackbone>>
export const HEADS: Readonly<Record<string, SyntheticHead>>
export function writeBackbone(name: string, path: string, replaced?: ReadonlyMap<string, Float32Array>): void
export function writeHead(name: string, path: string, channels: number): void
export function syntheticValues(name: string, shape: readonly number[]): Float32Array
