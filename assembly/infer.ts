/** The ABI for inference alone: the same functions from the same sources, fewer of them. */
export { activationForward } from './activation';
export { attentionForward } from './attention';
export { embeddingForward } from './embedding';
export { gemm, packBias, packTransposed, packWeights } from './gemm';
export { abi, build, heapBase } from './index';
export { addForward, besideForward, repeatForward } from './join';
export { layerNormForward } from './norm';
export { lastForward, maxForward, meanForward } from './pool';
export { argmaxRows, softmaxRows, topKRows } from './predict';
export { forward } from './recurrence';
export { clearPadding, mergeForward, multiplyAdd, rowsAdd, rowsIn, rowsOut } from './rows';
export { sampleRows } from './sample';
