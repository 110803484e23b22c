/** What a pickle can hold here: plain data, and the objects that the caller's whitelist makes. */
export type PickleValue =
  | null
  | boolean
  | number
  | bigint
  | string
  | Uint8Array
  | PickleList
  | PickleTuple
  | PickleDict
  | PickleGlobal
  | PickleObject

/** A Python list. */
export class PickleList {
  readonly kind = 'list'
  readonly items: PickleValue[] = []
}

/** A Python tuple, or what stands for one (`torch.Size`). */
export class PickleTuple {
  readonly kind = 'tuple'
  constructor(readonly items: readonly PickleValue[]) {}
}

/** A Python dict or `OrderedDict`. A `Map`, so that no key (`__proto__`) means anything. */
export class PickleDict {
  readonly kind = 'dict'
  readonly entries = new Map<PickleValue, PickleValue>()
}

/** A whitelisted name. Nothing of Python stands behind it: `construct` is ours. */
export class PickleGlobal {
  readonly kind = 'global'
  constructor(
    readonly name: string,
    /** What calling it makes; without it, it may be mentioned but not called. */
    readonly construct?: (args: readonly PickleValue[]) => PickleValue,
  ) {}
}

/** Base of the objects that a whitelist makes. */
export abstract class PickleObject {
  readonly kind = 'object'
}
