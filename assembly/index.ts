/** The ABI: what is not named here does not exist outside. */
export { abi, build, heapBase } from './abi';
export { activationBackward, activationForward } from './activation';
export { attentionBackward, attentionForward } from './attention';
export { beamStep, lengthNormalized } from './beam';
export { lruRows } from './cells/lru';
export {
  addForward,
  concatBackward,
  concatForward,
  expandBackward,
  expandForward,
  mergeBackward,
  mergeForward,
  selectBackward,
  selectForward,
} from './concat';
export { crfBackward, crfDecode, crfForward } from './crf';
export { ctcBackward, ctcBeamSearch, ctcBestPath, ctcForward } from './ctc';
export { embeddingBackward, embeddingForward } from './embedding';
export { biasGrad, gemm, packBias, packTransposed, packWeights, weightGrad, weightGradScratch } from './gemm';
export { generateTokens } from './generate';
export { orthonormalRows } from './initializer';
export { crossEntropyBackward, crossEntropyForward, lossBackward, lossForward, spreadRows } from './losses';
export { expArray, log1pArray, logArray, sigmoidArray, tanhArray } from './math';
export { layerNormBackward, layerNormForward } from './norm';
export { adagrad, adam, addDecay, clipValue, rmsprop, sgd } from './optimizer';
export { lastBackward, lastForward, maxBackward, maxForward, meanBackward, meanForward } from './pool';
export { argmaxRows, softmaxRows, topKRows } from './predict';
export { fillMask, fillNormal, fillPermutation, fillUniform, philox } from './random';
export { recurrentBackward, recurrentForward } from './recurrent';
export { clearPadding, maskBackward, maskForward, rowsAdd, rowsIn, rowsOut } from './rows';
export { sampleBits, sampleRows } from './sampling';
export { addProducts, solve } from './solve';
export { addScaled, dot, multiplyAdd, scale, sum, sumSquares } from './vector';
