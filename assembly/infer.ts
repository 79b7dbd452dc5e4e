/** The ABI for inference alone: the same functions from the same sources, fewer of them. */

export { abi, build, heapBase } from './abi';
export { activationForward } from './activation';
export { attentionForward } from './attention';
export { lruRows } from './cells/lru';
export { addForward, concatForward, expandForward, mergeForward } from './concat';
export { embeddingForward } from './embedding';
export { gemm, packBias, packWeights } from './gemm';
export { layerNormForward } from './norm';
export { lastForward, maxForward, meanForward } from './pool';
export { argmaxRows, softmaxRows, topKRows } from './predict';
export { recurrentForward } from './recurrent';
export { clearPadding, rowsAdd, rowsIn, rowsOut } from './rows';
export { sampleRows } from './sampling';
