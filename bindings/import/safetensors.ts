/**
 * safetensors for `loadStateDict`: with whole numbers and truth values, which the reader of gatewise refuses.
 */
import { readTensors, type TensorFile } from '../files/safetensors.js';
import { BYTES, floats } from './dtypes.js';

/**
 * Reads the tensors of a safetensors file. float64, float16 and bfloat16 become float32, and so do whole numbers up to 2^24.
 *
 * @throws FormatError for a file that is damaged or holds something else
 *
 * @example
 * ```js
 * import { readFileSync } from 'node:fs';
 * import { readSafetensors } from 'gatewise/import/pytorch';
 *
 * const { tensors } = readSafetensors(readFileSync('kinds.safetensors'));
 * console.log(tensors.get('f64').shape); // [ 3, 2 ]
 * ```
 */
export function readSafetensors(bytes: Uint8Array | ArrayBuffer): TensorFile {
  return readTensors(bytes, BYTES, floats);
}
