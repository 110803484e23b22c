import { targetOf } from '../support/allocate.js'
import type { Call, Plan } from './call-queue.js'

/**
 * A call that writes an array and gives it.
 *
 * @param into - checks the arguments, and gives the array
 * @param request - reads to the memory that it is given
 */
export function readingCall<Values extends Float32Array | Uint16Array | Uint8Array>(
  options: Call<Values>['options'],
  into: () => Values,
  request: (data: Values) => Plan<Values>['request'],
): Call<Values> {
  return {
    options,
    frames: [],
    plan: () => {
      const values = into()
      const target = targetOf(values)
      const answer = () => {
        target.deliver()
        return values
      }
      return { request: request(target.data), answer }
    },
  }
}
