/** The ABI: what is not named here does not exist outside. */
import { ABI } from './layout';

/** Version of this interface. */
export function abi(): i32 {
  return ABI;
}

/** 0 simd, 1 relaxed, 2 debug: simd with assertions. */
export function build(): i32 {
  if (ASC_FEATURE_RELAXED_SIMD) return 1;
  return ASC_NO_ASSERT ? 0 : 2;
}

/** Where the memory that the bindings own begins. */
export function heapBase(): usize {
  return __heap_base;
}

export { activationBackward, activationForward } from './activation';
export { attentionBackward, attentionForward } from './attention';
export { beamStep, lengthNormalized } from './beam';
export { crfBackward, crfForward } from './crf';
export { crfDecode } from './crf-decode';
export { ctcBackward, ctcForward } from './ctc';
export { ctcBeamSearch, ctcBestPath } from './ctc-decode';
export { embeddingBackward, embeddingForward } from './embedding';
export { biasGrad, gemm, packBias, packTransposed, packWeights, weightGrad } from './gemm';
export { generate } from './generate';
export { orthonormalRows } from './initialize';
export {
  addForward,
  besideBackward,
  besideForward,
  columnsBackward,
  columnsForward,
  repeatBackward,
  repeatForward,
} from './join';
export { lossBackward, lossForward, spreadRows } from './losses';
export { expArray, log1pArray, logArray, sigmoidArray, tanhArray } from './math';
export { layerNormBackward, layerNormForward } from './norm';
export { adagrad, adam, addDecay, addScaled, clipValue, dot, rmsprop, scale, sgd, sumSquares } from './optimizer';
export { lastBackward, lastForward, maxBackward, maxForward, meanBackward, meanForward } from './pool';
export { argmaxRows, softmaxRows, topKRows } from './predict';
export { fillMask, fillNormal, fillPermutation, fillUniform, philox } from './random';
export { backward, forward } from './recurrence';
export {
  clearPadding,
  maskBackward,
  maskForward,
  mergeBackward,
  mergeForward,
  multiplyAdd,
  rowsAdd,
  rowsIn,
  rowsOut,
} from './rows';
export { sampleBits, sampleRows } from './sample';
export { crossEntropyBackward, crossEntropyForward, sum } from './softmax';
