export {
  globalMotion,
  type GlobalMotion,
  type GlobalMotionModel,
  type GlobalMotionOptions,
} from './global-motion.js'
export { Homography } from './homography.js'
export type { Point } from './point.js'
export type { MagnitudeOptions, MotionStatistics } from './statistics.js'
export {
  type LossReason,
  movePoints,
  type TrackedPoint,
  type TrackOptions,
  trackPoints,
  type TrackStep,
} from './track.js'
export {
  type Raster,
  type RasterValues,
  warp,
  type Warped,
  type WarpedFlow,
  type WarpFlowOptions,
  type WarpOptions,
} from './warp.js'
