/**
 * gatewise/processor: layers over blocks of steps, without any allocation, for an AudioWorklet.
 *
 * @module gatewise/processor
 */

export { type BlockState, Processor, type ProcessorLayer, type ProcessorOptions } from './nn/processor.js';
