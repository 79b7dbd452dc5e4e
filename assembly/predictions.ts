/** The ABI for predictions of every task: that for inference, and what decoders and generators need as well. */

export { abi, build, heapBase } from './abi';
export { activationForward } from './activation';
export { attentionForward } from './attention';
export { beamStep, lengthNormalized } from './beam';
export { lruRows } from './cells/lru';
export { addForward, concatForward, expandForward, mergeForward, selectForward } from './concat';
export { crfDecode } from './crf';
export { ctcBeamSearch, ctcBestPath } from './ctc';
export { embeddingForward } from './embedding';
export { gemm, packBias, packWeights } from './gemm';
export { generateTokens } from './generate';
export { layerNormForward } from './norm';
export { lastForward, maxForward, meanForward } from './pool';
export { argmaxRows, softmaxRows, topKRows } from './predict';
export { recurrentForward } from './recurrent';
export { clearPadding, rowsAdd, rowsIn, rowsOut } from './rows';
export { sampleBits, sampleRows } from './sampling';
