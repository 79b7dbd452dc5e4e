/**
 * The ABI of the online module: of the core what layers need that are never trained through a tape, and the kernels that carry gradients
 * forward in time. What is not named here does not exist outside.
 */
import { ONLINE_ABI } from './layout';

/** Version of what this module has in addition to the core. */
export function onlineAbi(): i32 {
  return ONLINE_ABI;
}

export { abi, build, heapBase } from '../abi';
export { activationForward } from '../activation';
export { lruRows } from '../cells/lru';
export { gemm, packBias, packWeights } from '../gemm';
export { orthonormalRows } from '../initializer';
export { logArray } from '../math';
export { adagrad, adam, addDecay, rmsprop, sgd } from '../optimizer';
export { fillNormal, fillUniform } from '../random';
export { addScaled, scale, sumSquares } from '../vector';
export { onlineGradient } from './gradient';
export { onlineStep } from './step';
