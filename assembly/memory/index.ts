/**
 * The module of gatewise/memory. It has no memory and no constants of its own: it works on the rows of a running core, and calls its
 * functions.
 */
import { MEMORY_ABI } from './layout';

/** Version of this interface. */
export function abi(): i32 {
  return MEMORY_ABI;
}

export { keptBytes, memoryBackward, memoryForward, scratchBytes } from './step';
