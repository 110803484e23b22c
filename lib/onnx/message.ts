import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire'

/** Bytes that are made when they are written: a tensor's values, so that a file larger than memory can be written. */
export interface Deferred {
  readonly byteLength: number
  read(): Uint8Array
}

export type Piece = Uint8Array | Deferred

/** A protobuf message, field by field, as pieces in the order of the file. */
export class Message {
  #writer = new BinaryWriter()
  readonly #pieces: Piece[] = []

  /** An integer of up to 53 bits, an enum or a boolean. */
  integer(field: number, value: number): this {
    this.#writer.tag(field, WireType.Varint).int64(value)
    return this
  }

  float(field: number, value: number): this {
    this.#writer.tag(field, WireType.Bit32).float(value)
    return this
  }

  text(field: number, value: string): this {
    this.#writer.tag(field, WireType.LengthDelimited).string(value)
    return this
  }

  bytes(field: number, value: Piece): this {
    this.#writer.tag(field, WireType.LengthDelimited).uint32(value.byteLength)
    this.#append(value)
    return this
  }

  message(field: number, value: Message): this {
    const pieces = value.pieces()
    this.#writer.tag(field, WireType.LengthDelimited).uint32(lengthOf(pieces))
    for (const piece of pieces) this.#append(piece)
    return this
  }

  pieces(): readonly Piece[] {
    this.#flush()
    return this.#pieces
  }

  #append(piece: Piece): void {
    if (piece instanceof Uint8Array) this.#writer.raw(piece)
    else {
      this.#flush()
      this.#pieces.push(piece)
    }
  }

  #flush(): void {
    const bytes = this.#writer.finish()
    if (bytes.length > 0) this.#pieces.push(bytes)
  }
}

/** Bytes of all pieces. */
export function lengthOf(pieces: readonly Piece[]): number {
  return pieces.reduce((sum, { byteLength }) => sum + byteLength, 0)
}
