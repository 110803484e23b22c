export type { CheckpointCandidate, CheckpointChoice, ModelRole } from './checkpoint/candidates.js'
export { inspectCheckpoint, type Inspection, type InspectOptions } from './checkpoint/inspect.js'
export type { CheckpointReference, CheckpointSource } from './checkpoint/reference.js'
export type { BackboneConfig, DType, HeadConfig } from './checkpoint/tensor.js'
export type { Device, Precision, Wait } from './device.js'
export { FlowError, type FlowErrorCode } from './errors.js'
export {
  FeatureMap,
  type FeatureMapShape,
  type FeatureReadOptions,
  type FeatureReadSyncOptions,
} from './feature-map.js'
export { FlowField } from './flow-field.js'
export * from './formats/index.js'
export {
  type CudaArrayFrame,
  type DecodedFrame,
  type EncodedSource,
  type Frame,
  type FrameBuffer,
  type FramePlane,
  type FrameShape,
  type FrameSource,
  type PointerFrame,
  type TensorFrame,
  type YuvCode,
} from './frame.js'
export { PIXEL_FORMATS, type PixelFormat, type YuvMatrix, type YuvRange } from './pixel-formats.js'
export type { DecodeOptions } from './image/decode.js'
export {
  encodePng,
  type ImageSource,
  loadImage,
  type LoadedImage,
  type RgbImage,
  savePng,
} from './image/rgb-image.js'
export { saveImage } from './image/save.js'
export type {
  FlowModelInfo,
  FlowModelNumerics,
  GpuInfo,
  LoadOptions,
  LoadProgress,
  ModelPreset,
  RopePeriods,
} from './load.js'
export type { Channels, FoundNormalization, Normalization } from './checkpoint/normalization.js'
export * from './metrics.js'
export { FlowModel } from './model.js'
export * from './motion/index.js'
export type { BackboneEngine, PrepareOptions, PrepareProgress, Prepared, TensorRTTrial } from './prepare.js'
export type { Refine, RefineOptions, RefinePreset } from './refine.js'
export type {
  FeaturesOptions,
  FeaturesSyncOptions,
  FlowFromFeaturesOptions,
  FlowMapOptions,
  FlowMaps,
  FlowMapsFromFeaturesOptions,
  FlowMapsOptions,
  FlowOptions,
  FlowPictureFromFeaturesOptions,
  FlowPictureOptions,
  FlowStep,
  FlowSyncOptions,
  OutputOptions,
  PixelMap,
  RefineOption,
  SizeOption,
  TensorMaps,
} from './request.js'
export type { FlowOutput, FlowSize, FrameSize, PatchGrid } from './size.js'
export { FlowStream } from './stream.js'
export type {
  DropCounts,
  DurationStats,
  FlowFrames,
  FrameFeatures,
  FlowResult,
  NoFlow,
  PushOptions,
  PushSyncOptions,
  QueueOptions,
  QueuePolicy,
  StreamFrame,
  StreamOptions,
  StreamResult,
  StreamStats,
  Timing,
} from './stream-options.js'
export {
  type DLPackOptions,
  Tensor,
  type TensorCopyOptions,
  type TensorOptions,
  type TensorReadOptions,
  type TensorReadSyncOptions,
} from './tensor.js'
export type { CudaArray, CudaArraySource } from './tensor/cuda-array.js'
export type { SharedTensor } from './tensor/shared-tensor.js'
export type { TensorArrays, TensorDType } from './tensor/dtype.js'
export type { DeviceOutput, OnDevice, TensorResults, ToTensors } from './tensor/results.js'
export type { DLPackCapsule } from './native/contract.js'
export type { TensorDevice } from './tensor/memory.js'
export * from './viz/index.js'
