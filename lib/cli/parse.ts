import { InvalidArgumentError } from 'commander'
import { type Channels, channelsInWords, toChannels } from '../checkpoint/normalization.js'
import { type Device, isDevice } from '../device.js'
import { type FlowOutput, type FlowSize, isFrameSize } from '../size.js'

// Each function parses the text of an option. commander puts the option's name in front of an error message.

type Pair = readonly [height: number, width: number]

export function parseSize(text: string): FlowSize {
  if (text === 'seed' || isFrameSize(text)) return text
  return parsePair(text, 'seed, native, fit, half')
}

export function parseOutputSize(text: string): FlowOutput {
  if (text === 'frame' || text === 'model') return text
  return parsePair(text, 'frame, model')
}

/** Accepts any name of a device. The library checks later whether the device exists. */
export function parseDevice(text: string): Device {
  if (isDevice(text)) return text
  throw new InvalidArgumentError('It must be auto, cpu, cuda or cuda:N.')
}

export function parseThreads(text: string): number {
  const threads = Number(text)
  if (/^\d+$/.test(text) && threads >= 1 && threads <= 256) return threads
  throw new InvalidArgumentError('It must be a number from 1 to 256.')
}

export function parseMean(text: string): Channels {
  return parseChannels(text, 'mean')
}

export function parseStd(text: string): Channels {
  return parseChannels(text, 'std')
}

function parseChannels(text: string, which: 'mean' | 'std'): Channels {
  const channels = toChannels(
    text.split(',').map((part) => (part.trim() === '' ? NaN : Number(part))),
    which,
  )
  if (channels !== undefined) return channels
  throw new InvalidArgumentError(`It must be ${channelsInWords(which)}, such as 0.430,0.411,0.296.`)
}

/** A length in pixels, above 0. */
export function parsePixels(text: string): number {
  const length = Number(text)
  if (text.trim() !== '' && length > 0 && length < Infinity) return length
  throw new InvalidArgumentError('It must be a number of pixels above 0.')
}

/** A length in pixels, or `none`. */
export function parseLimit(text: string): number {
  return text === 'none' ? Infinity : parsePixels(text)
}

/** A number of things, 1 or more. */
export function parseCount(text: string): number {
  const n = Number(text)
  if (/^\d{1,9}$/.test(text) && n >= 1) return n
  throw new InvalidArgumentError('It must be a whole number, 1 or more.')
}

/** @param names what else the option may be; empty for nothing */
export function parsePair(text: string, names: string): Pair {
  const [, height, width] = /^(\d{1,5})[x×](\d{1,5})$/i.exec(text) ?? []
  if (height !== undefined && width !== undefined) return [Number(height), Number(width)]
  throw new InvalidArgumentError(
    `It must be ${names === '' ? '' : `${names} or `}HEIGHTxWIDTH, such as 432x1024.`,
  )
}
