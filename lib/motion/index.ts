export type { Point } from './point.js'
export type { MagnitudeOptions, MotionStatistics } from './statistics.js'
