/**
 * The messages of an ONNX file that an export needs, with the field numbers of onnx.proto
 * (https://github.com/onnx/onnx/blob/main/onnx/onnx.proto).
 */
import { Message, type Piece } from './message.js'

/** The first opset with LayerNormalization as one operator. */
export const OPSET = 17
/** The version of the file format that came with it. */
const IR_VERSION = 8

export const DATA_TYPES = { float32: 1, int64: 7, float16: 10 } as const
export type DataType = keyof typeof DATA_TYPES

/** A value of the network's parameters, or a constant. */
export interface Tensor {
  readonly name: string
  readonly type: DataType
  readonly shape: readonly number[]
  readonly data: Piece
}

/** Where a tensor's bytes are in a file beside the model. */
export interface ExternalData {
  /** Name of the file, in the model's folder. */
  readonly location: string
  readonly offset: number
}

/** An axis: its length, or a name for any length. */
export type Dimension = number | string

/** An input or an output of the graph. */
export interface Value {
  readonly name: string
  readonly type: DataType
  readonly shape: readonly Dimension[]
  readonly doc: string
}

export type Attribute = number | string | { readonly float: number } | readonly number[]

/** One operator. */
export interface Node {
  readonly op: string
  readonly name: string
  readonly inputs: readonly string[]
  readonly outputs: readonly string[]
  readonly attributes: Readonly<Record<string, Attribute>>
}

export interface ModelContent {
  readonly name: string
  readonly doc: string
  readonly producer: { readonly name: string; readonly version: string }
  readonly inputs: readonly Value[]
  readonly outputs: readonly Value[]
  readonly nodes: readonly Node[]
  readonly tensors: readonly Tensor[]
  readonly metadata: Readonly<Record<string, string>>
}

/** ModelProto. `external` tells where a tensor's bytes are, if they are not in the file itself. */
export function model(
  content: ModelContent,
  external: (tensor: Tensor) => ExternalData | undefined,
): Message {
  const message = new Message()
    .integer(1, IR_VERSION)
    .text(2, content.producer.name)
    .text(3, content.producer.version)
    .message(7, graph(content, external))
    .message(8, new Message().text(1, '').integer(2, OPSET))
  for (const [key, value] of Object.entries(content.metadata)) message.message(14, entry(key, value))
  return message
}

function graph(content: ModelContent, external: (tensor: Tensor) => ExternalData | undefined): Message {
  const message = new Message()
  for (const each of content.nodes) message.message(1, node(each))
  message.text(2, content.name)
  for (const each of content.tensors) message.message(5, tensor(each, external(each)))
  message.text(10, content.doc)
  for (const each of content.inputs) message.message(11, value(each))
  for (const each of content.outputs) message.message(12, value(each))
  return message
}

function node({ op, name, inputs, outputs, attributes }: Node): Message {
  const message = new Message()
  for (const input of inputs) message.text(1, input)
  for (const output of outputs) message.text(2, output)
  message.text(3, name).text(4, op)
  for (const [key, each] of Object.entries(attributes)) message.message(5, attribute(key, each))
  return message
}

const ATTRIBUTE_TYPES = { float: 1, integer: 2, text: 3, integers: 7 } as const

function attribute(name: string, given: Attribute): Message {
  const message = new Message().text(1, name)
  if (typeof given === 'number') return message.integer(3, given).integer(20, ATTRIBUTE_TYPES.integer)
  if (typeof given === 'string') return message.text(4, given).integer(20, ATTRIBUTE_TYPES.text)
  if ('float' in given) return message.float(2, given.float).integer(20, ATTRIBUTE_TYPES.float)
  for (const each of given) message.integer(8, each)
  return message.integer(20, ATTRIBUTE_TYPES.integers)
}

function tensor({ name, type, shape, data }: Tensor, external: ExternalData | undefined): Message {
  const message = new Message()
  for (const n of shape) message.integer(1, n)
  message.integer(2, DATA_TYPES[type]).text(8, name)
  if (external === undefined) return message.bytes(9, data)
  return message
    .message(13, entry('location', external.location))
    .message(13, entry('offset', String(external.offset)))
    .message(13, entry('length', String(data.byteLength)))
    .integer(14, 1)
}

function value({ name, type, shape, doc }: Value): Message {
  const axes = new Message()
  for (const n of shape)
    axes.message(1, typeof n === 'number' ? new Message().integer(1, n) : new Message().text(2, n))
  const tensorType = new Message().integer(1, DATA_TYPES[type]).message(2, axes)
  return new Message().text(1, name).message(2, new Message().message(1, tensorType)).text(3, doc)
}

function entry(key: string, text: string): Message {
  return new Message().text(1, key).text(2, text)
}
