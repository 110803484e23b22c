/** A value in a pickle: plain data, or an object that the caller's whitelist makes. */
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
  | PickleOpaque
  | PickleObject

/** A Python list. */
export class PickleList {
  readonly kind = 'list'
  readonly items: PickleValue[] = []
}

/** A Python tuple, or a `torch.Size`. */
export class PickleTuple {
  readonly kind = 'tuple'
  constructor(readonly items: readonly PickleValue[]) {}
}

/** A Python dict or `OrderedDict`. A `Map`, so that no key (such as `__proto__`) has a special meaning. */
export class PickleDict {
  readonly kind = 'dict'
  readonly entries = new Map<PickleValue, PickleValue>()
}

/** A whitelisted name. It refers to no Python code: `construct` is a function of this package. */
export class PickleGlobal {
  readonly kind = 'global'
  constructor(
    readonly name: string,
    /** Makes the result of a call of this name. Without it, a pickle may refer to the name but not call it. */
    readonly construct?: (args: readonly PickleValue[]) => PickleValue,
  ) {}
}

/** Base of the objects that a whitelist makes. */
export abstract class PickleObject {
  readonly kind = 'object'
}

/**
 * A Python object, class or function that is not whitelisted. It holds nothing, and calling it makes another one: what a pickle
 * puts into it or asks of it is forgotten.
 */
export class PickleOpaque {
  readonly kind = 'opaque'
  /** @param name - `module.name` of the class or function, as the pickle says it */
  constructor(readonly name: string) {}
}
