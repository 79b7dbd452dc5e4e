/**
 * safetensors of any floating-point type, for `loadStateDict`: eight bytes with the header's length, a header in JSON, the numbers,
 * little-endian. https://github.com/huggingface/safetensors#format
 */
import { FormatError, UnsupportedError } from '../index.js';
import { BYTES, type Dtype, floats } from './dtypes.js';
import { bytesOf, guarded, isRecord, parseJson, sizeOf, type Tensor } from './files.js';

const isSize = (n: unknown): n is number => Number.isSafeInteger(n) && Number(n) >= 0;
const isSizes = (list: unknown): list is number[] => Array.isArray(list) && list.every(isSize);

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
 * const tensors = readSafetensors(readFileSync('kinds.safetensors'));
 * console.log(tensors.get('f64').shape); // [ 3, 2 ]
 * ```
 */
export function readSafetensors(bytes: Uint8Array | ArrayBuffer): Map<string, Tensor> {
  const file = bytesOf(bytes);
  const length = file.length < 8 ? Infinity : Number(new DataView(file.buffer, file.byteOffset).getBigUint64(0, true));
  const start = 8 + length;
  if (start > file.length) {
    throw new FormatError(
      `the file is cut off or not a safetensors file: it has ${file.length} bytes, its header ends at ${start}`,
    );
  }
  const text = guarded('the header of the file', () =>
    new TextDecoder('utf-8', { fatal: true }).decode(file.subarray(8, start)),
  );
  const header = parseJson('the header of the file', text);
  if (!isRecord(header)) throw new FormatError('the header of the file is not a JSON object');
  const tensors = new Map<string, Tensor>();
  let end = 0;
  for (const [name, entry] of Object.entries(header)) {
    if (name === '__metadata__') continue;
    const { dtype, shape, data_offsets: offsets } = isRecord(entry) ? entry : {};
    if (!isSizes(shape) || !isSizes(offsets) || offsets.length !== 2) {
      throw new FormatError(`${name}: its shape or its data_offsets are not lists of sizes`);
    }
    if (typeof dtype !== 'string' || !Object.hasOwn(BYTES, dtype)) {
      throw new UnsupportedError(`${name}: numbers of type ${String(dtype)} are not supported`);
    }
    const [from, to] = offsets;
    const size = sizeOf(shape);
    if (to - from !== size * BYTES[dtype as Dtype] || start + to > file.length) {
      throw new FormatError(
        `${name}: shape [${shape.join(', ')}] of type ${dtype} does not fit bytes ${from} to ${to} of ${file.length - start}`,
      );
    }
    end = Math.max(end, to);
    tensors.set(name, { shape, data: floats(name, dtype as Dtype, file.subarray(start + from, start + to), size) });
  }
  if (start + end !== file.length) {
    throw new FormatError(`the file has ${file.length - start} bytes of numbers, its tensors end at ${end}`);
  }
  return tensors;
}
