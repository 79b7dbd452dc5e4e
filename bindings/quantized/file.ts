/**
 * Quantized models as safetensors files: integers as I8 and I16, scales and biases as F32, the layers' descriptions in the metadata.
 * https://github.com/huggingface/safetensors#format
 */
import * as check from '../check.js';
import { FormatError } from '../errors.js';
import { decodeText, encodeText } from '../files/safetensors.js';

export type TensorData = Int8Array | Int16Array | Float32Array;

export interface QuantizedTensor {
  readonly shape: readonly number[];
  readonly data: TensorData;
}

const MAX_HEADER = 100_000_000;

const TYPES = {
  F32: (buffer: ArrayBuffer) => new Float32Array(buffer),
  I16: (buffer: ArrayBuffer) => new Int16Array(buffer),
  I8: (buffer: ArrayBuffer) => new Int8Array(buffer),
};
const BYTES = { F32: 4, I16: 2, I8: 1 };

function typeOf(data: TensorData): keyof typeof TYPES {
  return data instanceof Float32Array ? 'F32' : data instanceof Int16Array ? 'I16' : 'I8';
}

export function encode(
  tensors: ReadonlyMap<string, QuantizedTensor>,
  metadata: Readonly<Record<string, string>>,
): Uint8Array<ArrayBuffer> {
  const header: Record<string, unknown> = { __metadata__: metadata };
  // tensors of wider types first, so that each begins at a multiple of its type's size
  const order = [...tensors].sort((a, b) => BYTES[typeOf(b[1].data)] - BYTES[typeOf(a[1].data)]);
  let end = 0;
  for (const [name, { shape, data }] of order) {
    header[name] = { dtype: typeOf(data), shape, data_offsets: [end, end + data.byteLength] };
    end += data.byteLength;
  }
  const text = encodeText(JSON.stringify(header));
  const length = Math.ceil(text.length / 8) * 8;
  const bytes = new Uint8Array(8 + length + end).fill(0x20, 8, 8 + length);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(length), true);
  bytes.set(text, 8);
  let at = 8 + length;
  for (const [, { data }] of order) {
    bytes.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), at);
    at += data.byteLength;
  }
  return bytes;
}

/** Reads a file and checks that it is consistent. Throws FormatError. */
export function decode(bytes: Uint8Array | ArrayBuffer): {
  tensors: Map<string, QuantizedTensor>;
  metadata: Readonly<Record<string, unknown>>;
} {
  const tag = Object.prototype.toString.call(bytes); // arrays of another realm are of other classes
  if (tag !== '[object Uint8Array]' && tag !== '[object ArrayBuffer]')
    throw new TypeError('bytes: expected a Uint8Array or an ArrayBuffer');
  const file = ArrayBuffer.isView(bytes)
    ? new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    : new Uint8Array(bytes);
  if (file.length < 8) throw new FormatError(`the file has ${file.length} bytes; a safetensors file has at least 8`);
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const length = Number(view.getBigUint64(0, true));
  const start = 8 + length;
  if (length > MAX_HEADER || start > file.length) {
    throw new FormatError(
      `the file is cut off or not a safetensors file: its header would end at byte ${start}, it has ${file.length}`,
    );
  }
  let header: unknown;
  try {
    header = JSON.parse(decodeText(file.subarray(8, start)));
  } catch {
    throw new FormatError('the header of the file is not valid JSON');
  }
  if (!isRecord(header)) throw new FormatError('the header of the file is not a JSON object');
  const { __metadata__: metadata = {}, ...entries } = header;
  if (!isRecord(metadata)) throw new FormatError('the metadata of the file are not an object');
  const tensors = new Map<string, QuantizedTensor>();
  let end = 0;
  for (const { name, dtype, shape, from, to } of Object.entries(entries)
    .map(([name, entry]) => checkEntry(name, entry))
    .sort((a, b) => a.from - b.from || a.to - b.to)) {
    if (from !== end) throw new FormatError(`${name}: expected to begin at byte ${end} of the data, got ${from}`);
    if (start + to > file.length) {
      throw new FormatError(`${name}: ends at byte ${to} of the data, which has ${file.length - start} bytes`);
    }
    tensors.set(name, { shape, data: TYPES[dtype](file.slice(start + from, start + to).buffer) });
    end = to;
  }
  if (start + end !== file.length) {
    throw new FormatError(`the file has ${file.length - start} bytes of data, its tensors take ${end}`);
  }
  return { tensors, metadata };
}

function checkEntry(name: string, entry: unknown) {
  if (!isRecord(entry)) throw new FormatError(`${name}: its entry in the header is not an object`);
  const { dtype, shape, data_offsets: offsets } = entry;
  if (dtype !== 'F32' && dtype !== 'I16' && dtype !== 'I8') {
    throw new FormatError(`${name}: expected numbers of type F32, I16 or I8, got ${check.show(dtype)}`);
  }
  if (!isSizes(shape)) throw new FormatError(`${name}: its shape is not a list of sizes`);
  if (!isSizes(offsets) || offsets.length !== 2) {
    throw new FormatError(`${name}: its data_offsets are not a pair of sizes`);
  }
  const [from, to] = offsets as [number, number];
  const bytes = shape.reduce((n, d) => n * d, BYTES[dtype]);
  if (to - from !== bytes) {
    throw new FormatError(
      `${name}: shape [${shape.join(', ')}] needs ${bytes} bytes, its data_offsets span ${to - from}`,
    );
  }
  return { name, dtype, shape, from, to } as const;
}

function isSizes(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((n) => Number.isSafeInteger(n) && n >= 0);
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
