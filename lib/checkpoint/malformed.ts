/**
 * A file's bytes do not follow its format. The parsers throw this error; they do not know the file's path. `openCheckpoint`
 * turns it into a `FlowError` with the path in front: "<file>: <reason>: <advice>".
 */
export class Malformed extends Error {
  override readonly name = 'Malformed'

  constructor(
    readonly reason: string,
    /** What to do about it. */
    readonly advice = 'fetch or save it again',
  ) {
    super(`${reason}: ${advice}`)
  }
}

/** The advice about a file of torch.save that holds something other than weights. */
export const HOW_TO_SAVE = "save the weights alone: torch.save(model.state_dict(), 'model.pth')"
