/** Floating-point numbers of files as float32, rounded to the nearest, ties to even. */
import { FormatError } from '../errors.js';

/** Types by their names in safetensors, with the bytes of a number. */
export const BYTES = { F64: 8, F32: 4, F16: 2, BF16: 2 } as const;
export type Dtype = keyof typeof BYTES;

/**
 * n numbers as a copy in float32.
 *
 * @param name of the tensor, for errors
 * @param bytes n numbers, little-endian, at any address
 * @throws FormatError for a number that is not finite, in float32 as well
 */
export function floats(name: string, dtype: Dtype, bytes: Uint8Array, n: number): Float32Array {
  const data = new Float32Array(n);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (dtype === 'F32') new Uint8Array(data.buffer).set(bytes);
  else if (dtype === 'F64') for (let i = 0; i < n; i++) data[i] = view.getFloat64(8 * i, true);
  else if (dtype === 'F16') for (let i = 0; i < n; i++) data[i] = half(view.getUint16(2 * i, true));
  else {
    // bfloat16 is the upper half of a float32
    const bits = new Uint32Array(data.buffer);
    for (let i = 0; i < n; i++) bits[i] = view.getUint16(2 * i, true) << 16;
  }
  const bad = data.findIndex((x) => !Number.isFinite(x));
  if (bad >= 0) throw new FormatError(`${name}: number ${bad} is ${data[bad]} in float32; expected finite numbers`);
  return data;
}

/**
 * Numbers as bytes of binary16, each rounded to the nearest, ties to even.
 *
 * @throws RangeError for a number of 65520 or more, which would become infinite
 */
export function halves(name: string, data: Float32Array): Uint8Array {
  const out = new DataView(new ArrayBuffer(2 * data.length));
  const all = new Uint32Array(data.slice().buffer);
  all.forEach((bits, i) => {
    const exponent = ((bits >>> 23) & 255) - 112;
    const fraction = bits & 0x7fffff;
    let value = 0;
    if (exponent > -11) {
      // numbers below 2⁻¹⁴ have no leading one of their own
      const shift = exponent > 0 ? 13 : 14 - exponent;
      const whole = exponent > 0 ? (exponent << 23) | fraction : fraction | 0x800000;
      const rest = whole & ((1 << shift) - 1);
      const middle = 1 << (shift - 1);
      value = whole >>> shift;
      if (rest > middle || (rest === middle && value & 1)) value++;
    }
    if (exponent > 30 || value > 0x7bff) {
      throw new RangeError(`${name}: ${data[i]} is too large for dtype 'f16', whose largest number is 65504`);
    }
    out.setUint16(2 * i, ((bits >>> 16) & 0x8000) | value, true);
  });
  return new Uint8Array(out.buffer);
}

/** IEEE 754-2008 binary16: 1 bit of sign, 5 of the exponent, 10 of the fraction. */
export function half(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  if (exponent === 31) return fraction ? Number.NaN : sign * Infinity;
  return sign * (exponent ? (1024 + fraction) * 2 ** (exponent - 25) : fraction * 2 ** -24);
}
