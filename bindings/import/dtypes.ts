/**
 * Numbers of other types as float32: what PyTorch, Keras, ONNX and safetensors store. Rounding is to the nearest float32, ties to
 * even. Nothing is lost without a word: whole numbers that float32 does not have, infinities and NaN are refused.
 */
import { BYTES as FLOATS, half } from '../files/dtypes.js';
import { FormatError } from '../index.js';

/** Types by their names in safetensors, with their bytes. */
export const BYTES = { ...FLOATS, I64: 8, I32: 4, I16: 2, I8: 1, U8: 1, BOOL: 1 } as const;

export type Dtype = keyof typeof BYTES;

/** Beyond this, float32 does not have every whole number. */
const EXACT = 2 ** 24;

/** A reader of number i, little-endian. */
export function reader(dtype: Dtype, view: DataView): (i: number) => number {
  switch (dtype) {
    case 'F64':
      return (i) => Math.fround(view.getFloat64(8 * i, true));
    case 'F32':
      return (i) => view.getFloat32(4 * i, true);
    case 'F16':
      return (i) => half(view.getUint16(2 * i, true));
    case 'BF16': {
      // the upper half of a float32
      const bits = new DataView(new ArrayBuffer(4));
      return (i) => {
        bits.setUint32(0, view.getUint16(2 * i, true) << 16);
        return bits.getFloat32(0);
      };
    }
    case 'I64':
      return (i) => Number(view.getBigInt64(8 * i, true));
    case 'I32':
      return (i) => view.getInt32(4 * i, true);
    case 'I16':
      return (i) => view.getInt16(2 * i, true);
    case 'I8':
      return (i) => view.getInt8(i);
    default:
      return (i) => view.getUint8(i);
  }
}

const notFinite = (name: string, i: number, value: number) =>
  new FormatError(`${name}: number ${i} is ${value} as float32; expected finite numbers`);

/**
 * Numbers of any of these types as float32.
 *
 * @param name what messages call the tensor
 * @param bytes little-endian, at least those of the numbers that are read
 * @param count n: how many numbers
 * @param index which numbers of `bytes`, in this order; default the first n
 * @throws FormatError where a number is not finite, or is a whole number that float32 does not have
 */
export function floats(
  name: string,
  dtype: Dtype,
  bytes: Uint8Array,
  count: number,
  index?: (i: number) => number,
): Float32Array {
  const data = new Float32Array(count);
  if (dtype === 'F32' && !index) {
    new Uint8Array(data.buffer).set(bytes.subarray(0, 4 * count));
    const bad = data.findIndex((value) => !Number.isFinite(value));
    if (bad >= 0) throw notFinite(name, bad, data[bad]);
    return data;
  }
  const read = reader(dtype, new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength));
  const whole = !dtype.endsWith('F16') && !dtype.startsWith('F');
  for (let i = 0; i < count; i++) {
    const value = read(index ? index(i) : i);
    if (!Number.isFinite(value)) throw notFinite(name, i, value);
    if (whole && Math.abs(value) > EXACT) {
      throw new FormatError(`${name}: number ${i} is ${value}; float32 has whole numbers up to 2^24 only`);
    }
    data[i] = value;
  }
  return data;
}
