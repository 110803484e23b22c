/** The stable codes of {@link FlowError}. A message may change between versions, a code does not. */
export type FlowErrorCode =
  | 'ERR_ARGUMENT'
  | 'ERR_FRAME'
  | 'ERR_FORMAT'
  | 'ERR_CHECKPOINT_FORMAT'
  | 'ERR_CHECKPOINT_TENSOR'
  | 'ERR_DEVICE'
  | 'ERR_OUT_OF_MEMORY'
  | 'ERR_DISPOSED'
  | 'ERR_ABORTED'
  | 'ERR_QUEUE_FULL'
  | 'ERR_PRECISION'
  | 'ERR_IO'
  | 'ERR_NATIVE'

/**
 * The class of every error that this package throws.
 *
 * `code` is the kind of error. `message` gives the reason and the remedy.
 *
 * | code | meaning |
 * | --- | --- |
 * | `ERR_ARGUMENT` | an option or argument is of the wrong type or out of range |
 * | `ERR_FRAME` | a frame's size, stride, format or data do not fit together, or it could not be decoded |
 * | `ERR_FORMAT` | a flow file is damaged or of another format |
 * | `ERR_CHECKPOINT_FORMAT` | a checkpoint file is damaged, hostile or of an unknown format |
 * | `ERR_CHECKPOINT_TENSOR` | a tensor is missing, of the wrong shape or type, or holds NaN or infinity |
 * | `ERR_DEVICE` | the device asked for is not there, or failed |
 * | `ERR_OUT_OF_MEMORY` | memory ran out, on the host or on the device; other models are unharmed |
 * | `ERR_DISPOSED` | the model, feature map or tensor was disposed |
 * | `ERR_ABORTED` | the call's `AbortSignal` fired before the work started |
 * | `ERR_QUEUE_FULL` | the queue of a stream is full, and its policy is `'reject'` |
 * | `ERR_PRECISION` | values of a frame are beyond the range of the model's precision; the message names the one to load it with |
 * | `ERR_IO` | a file could not be opened, read or written; `cause` is the system's error |
 * | `ERR_NATIVE` | the addon, or a library that reads or writes files, could not be loaded or failed internally |
 */
export class FlowError extends Error {
  override readonly name = 'FlowError'
  readonly code: FlowErrorCode

  constructor(code: FlowErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }
}

/** The message of anything that was thrown. */
export function messageOf(error: unknown): string {
  const message: unknown =
    typeof error === 'object' && error !== null && 'message' in error ? error.message : undefined
  return typeof message === 'string' ? message : String(error)
}
