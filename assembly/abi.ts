/** What a module says of itself. */
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
