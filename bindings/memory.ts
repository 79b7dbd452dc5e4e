/**
 * gatewise/memory: a network with an external memory. It needs `gatewise`, whose rows it works on.
 *
 * @module gatewise/memory
 */

export { linkMemory } from './core/memory.js';
export type { Runtime } from './core/train.js';
export { MemoryNetwork, type MemoryNetworkOptions, type MemoryOutput } from './memory/network.js';
export type { Builder, Parameter } from './nn/builder.js';
export type { Bytes, WasmModule } from './platform.js';
export type { Rows, Tape } from './tape.js';
