/**
 * A file's bytes do not follow its format. The parsers throw this error; they do not know the file's path. `openCheckpoint`
 * turns it into a `FlowError` with the path in front: "<file>: <message>".
 */
export class Malformed extends Error {
  override readonly name = 'Malformed'
}
