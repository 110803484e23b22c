// For scripts of plain JavaScript: the addon of test/dlpack/native_module.c.
import { createRequire } from 'node:module'

const path = new URL('../../build/tests-host/test/dlpack/dlpack_module.node', import.meta.url)

export const native = createRequire(import.meta.url)(path.pathname)

/** A description of `count` bytes for `native.make`. */
export const bytes = (count) => ({ bytes: new Uint8Array(count), shape: [count], code: 1, bits: 8 })
