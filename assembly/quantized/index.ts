/** The ABI of the quantized module: what is not named here does not exist outside. */
import { QUANTIZED_ABI } from './layout';

/** Version of this interface. */
export function abi(): i32 {
  return QUANTIZED_ABI;
}

/** Where the memory that the bindings own begins. */
export function heapBase(): usize {
  return __heap_base;
}

export { lookUp, packIntegers, quantizeRows, quantizeWeights } from './integers';
export { product8, product16 } from './product';
export { recurrent } from './recurrent';
