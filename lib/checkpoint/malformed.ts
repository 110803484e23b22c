/**
 * A file's bytes are not what they should be. Thrown by the parsers, which know no path: `openCheckpoint` turns it into a
 * `FlowError` that names the file. Its message goes on after "<file>: ".
 */
export class Malformed extends Error {
  override readonly name = 'Malformed'
}
