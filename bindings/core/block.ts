/** Blocks: the arguments of kernels that take many, as fields of 32 bits in the arena. */
import type { Runtime } from './runtime.js';

/** Values by the number of their field. */
export interface Fields {
  readonly [field: number]: number;
}

/**
 * A block in the arena. Fields without a value are 0.
 *
 * @param size number of fields
 * @param ints whole numbers and addresses
 * @param floats those fields that are floats
 * @returns its address
 */
export function block(runtime: Runtime, size: number, ints: Fields, floats: Fields = {}): number {
  const at = runtime.take(4 * size);
  const { i32, f32 } = runtime;
  const first = at >>> 2;
  for (let field = 0; field < size; field++) i32[first + field] = ints[field] ?? 0;
  for (const field in floats) f32[first + Number(field)] = floats[field];
  return at;
}

/** Writes more fields of a block: the others stay as they are. */
export function extend(runtime: Runtime, at: number, ints: Fields): void {
  const { i32 } = runtime;
  for (const field in ints) i32[(at >>> 2) + Number(field)] = ints[field];
}
