/**
 * safetensors: eight bytes with the header's length, a header in JSON, the numbers, little-endian.
 * https://github.com/huggingface/safetensors#format
 */
import * as check from '../check.js';
import { FormatError } from '../errors.js';
import { BYTES, floats } from './dtypes.js';
import { isRecord, type Json, parseObject, shapeText, shown } from './json.js';

/** Numbers in the order of their shape, the last index fastest. */
export interface Tensor {
  readonly shape: readonly number[];
  readonly data: Float32Array;
}

/** Tensors by name, and strings about them. */
export interface TensorFile {
  readonly tensors: Map<string, Tensor>;
  readonly metadata: Record<string, string>;
}

const MAX_HEADER = 100_000_000;

/**
 * Writes a safetensors file.
 *
 * @param tensors by name; all their numbers are finite
 * @param metadata texts by name, default none
 * @param halves for tasks: makes numbers of type F16; default F32
 * @throws TypeError, RangeError for what `readSafetensors` would refuse: a tensor named `__metadata__`, metadata that are not strings,
 *   numbers that are not finite or do not fit their shape
 *
 * @example
 * ```js
 * import { readSafetensors, writeSafetensors } from 'gatewise';
 *
 * const weight = { shape: [2, 2], data: Float32Array.of(1, 2, 3, 4) };
 * const bytes = writeSafetensors(new Map([['weight', weight]]), { made: 'today' });
 * const { tensors, metadata } = readSafetensors(bytes);
 * console.log(tensors.get('weight').data.join(' '), metadata.made); // 1 2 3 4 today
 * ```
 */
export function writeSafetensors(
  tensors: ReadonlyMap<string, Tensor>,
  metadata: Readonly<Record<string, string>> = {},
  halves?: (name: string, data: Float32Array) => Uint8Array,
): Uint8Array<ArrayBuffer> {
  if (tagOf(tensors) !== 'Map') check.fail('tensors', 'a Map of tensors by name', tensors);
  check.made('tensors', tensors, 'entries', 'a Map of tensors by name', 'size');
  if (!isRecord(metadata)) check.fail('metadata', 'an object of strings', metadata);
  for (const [name, text] of Object.entries(metadata)) check.text(`metadata.${check.cut(name)}`, text);
  let end = 0;
  const parts: Uint8Array[] = [];
  const entries = [...tensors].map(([name, tensor]): [string, Json] => {
    const place = check.cut(check.text('tensors: name', name));
    if (name === '__metadata__') throw new RangeError("tensors: the name '__metadata__' is reserved by the format");
    if (!isRecord(tensor) || tagOf(tensor.data) !== 'Float32Array' || !isShape(tensor.shape)) {
      check.fail(place, 'a tensor { shape: [2, 3], data: Float32Array }', tensor);
    }
    const { shape, data } = tensor;
    check.numbers(place, data, sizeOf(shape), shapeText(shape));
    const from = end;
    const own = halves?.(place, data) ?? new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    parts.push(own);
    end += own.length;
    return [name, { dtype: halves ? 'F16' : 'F32', shape, data_offsets: [from, end] }];
  });
  // names such as __proto__ are properties like others
  const text = encodeText(JSON.stringify(Object.fromEntries([['__metadata__', metadata], ...entries])));
  const length = Math.ceil(text.length / 8) * 8;
  if (length > MAX_HEADER)
    throw new RangeError(`tensors: their header has ${length} bytes, at most ${MAX_HEADER} are allowed`);
  const bytes = new Uint8Array(8 + length + end);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(length), true);
  bytes.fill(0x20, 8, 8 + length).set(text, 8);
  let at = 8 + length;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

/** The kind of an object, which may be of another realm. */
function tagOf(value: unknown): string {
  return Object.prototype.toString.call(value).slice('[object '.length, -1);
}

const sizeOf = (shape: readonly number[]) => shape.reduce((n, d) => n * d, 1);

function isSize(n: unknown): n is number {
  return typeof n === 'number' && Number.isSafeInteger(n) && n >= 0;
}

function isShape(value: unknown): value is readonly number[] {
  return Array.isArray(value) && value.every(isSize);
}

/** Text as UTF-8. An AudioWorklet has no TextEncoder; there the language's own percent-encoding does, which is slower. */
export function encodeText(text: string): Uint8Array {
  if (globalThis.TextEncoder) return new TextEncoder().encode(text);
  const bytes = encodeURIComponent(text).replace(/%(..)/g, (_, hex) => String.fromCharCode(Number.parseInt(hex, 16)));
  return Uint8Array.from(bytes, (char) => char.charCodeAt(0));
}

/** The text of UTF-8 bytes; throws where they are invalid. Without a TextDecoder as above. */
export function decodeText(bytes: Uint8Array): string {
  return globalThis.TextDecoder
    ? new TextDecoder('utf-8', { fatal: true }).decode(bytes)
    : decodeURIComponent(bytes.reduce((text, byte) => `${text}%${(byte + 256).toString(16).slice(1)}`, ''));
}

/**
 * Reads a safetensors file. Numbers of type F64, F16 and BF16 are rounded to float32.
 *
 * @throws TypeError for anything but bytes; FormatError for a file that is damaged, has other types of numbers, or numbers that are not
 *   finite
 *
 * @example
 * ```js
 * import { readSafetensors, writeSafetensors } from 'gatewise';
 *
 * const bytes = writeSafetensors(new Map([['bias', { shape: [3], data: Float32Array.of(1, 2, 3) }]]));
 * for (const [name, { shape, data }] of readSafetensors(bytes).tensors) console.log(name, shape, data[2]); // bias [ 3 ] 3
 * ```
 */
export function readSafetensors(bytes: Uint8Array | ArrayBuffer): TensorFile {
  return readTensors(bytes, BYTES, floats);
}

/**
 * Reads a safetensors file with numbers of certain types.
 *
 * @param sizes the types with the bytes of a number
 * @param convert n numbers as a copy in float32
 */
export function readTensors<D extends string>(
  bytes: Uint8Array | ArrayBuffer,
  sizes: Readonly<Record<D, number>>,
  convert: (name: string, dtype: D, bytes: Uint8Array, n: number) => Float32Array,
): TensorFile {
  // by their tags: buffers of another realm, say of an iframe, are welcome
  const tag = tagOf(bytes);
  const whole = tag === 'ArrayBuffer' || tag === 'SharedArrayBuffer';
  if (!whole && tag !== 'Uint8Array') check.fail('bytes', 'a Uint8Array or an ArrayBuffer', bytes);
  const { buffer, byteOffset, byteLength } = bytes as Uint8Array;
  const file = whole ? new Uint8Array(bytes as ArrayBuffer) : new Uint8Array(buffer, byteOffset, byteLength);
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  if (file.length < 8) throw new FormatError(`the file has ${file.length} bytes; a safetensors file has at least 8`);
  const length = Number(view.getBigUint64(0, true));
  if (length > MAX_HEADER || 8 + length > file.length) {
    const looks =
      file[0] === 0x50 && file[1] === 0x4b
        ? '; it looks like a zip file, which PyTorch writes: save it as safetensors there'
        : '';
    throw new FormatError(
      `the file is cut off or not a safetensors file: its header would end at byte ${8 + length}, it has ${file.length}${looks}`,
    );
  }
  let text: string;
  try {
    text = decodeText(file.subarray(8, 8 + length));
  } catch {
    throw new FormatError('the header of the file is not valid UTF-8');
  }
  const header = parseObject('the header of the file', text);
  const { __metadata__: metadata = {}, ...entries } = header;
  if (!isRecord(metadata) || !Object.values(metadata).every((v) => typeof v === 'string')) {
    throw new FormatError('the metadata of the file are not all strings');
  }
  const tensors = new Map<string, Tensor>();
  const spans: { name: string; from: number; to: number }[] = [];
  const size = file.length - 8 - length;
  const data = file.subarray(8 + length);
  for (const [name, entry] of Object.entries(entries)) {
    const place = check.cut(name, 100);
    const { dtype, shape, from, to } = checkEntry(place, entry, size, sizes);
    spans.push({ name: place, from, to });
    tensors.set(name, { shape, data: convert(place, dtype, data.subarray(from, to), sizeOf(shape)) });
  }
  spans.sort((a, b) => a.from - b.from || a.to - b.to);
  let end = 0;
  for (const { name, from, to } of spans) {
    if (from !== end) throw new FormatError(`${name}: begins at byte ${from} of the data, where ${end} was expected`);
    end = to;
  }
  if (end !== size)
    throw new FormatError(
      `the file has ${size} bytes of data, its tensors take ${end}: it is cut off, or something follows it`,
    );
  return { tensors, metadata: metadata as Record<string, string> };
}

function checkEntry<D extends string>(
  name: string,
  entry: unknown,
  size: number,
  sizes: Readonly<Record<D, number>>,
): { dtype: D; shape: readonly number[]; from: number; to: number } {
  if (!isRecord(entry)) throw new FormatError(`${name}: its entry in the header is not an object`);
  const { dtype, shape, data_offsets: offsets } = entry;
  if (!isOneOf(dtype, sizes)) {
    throw new FormatError(`${name}: expected numbers of type ${Object.keys(sizes).join(', ')}, got ${shown(dtype)}`);
  }
  if (!isShape(shape)) throw new FormatError(`${name}: its shape is not a list of sizes`);
  if (!isShape(offsets) || offsets.length !== 2) {
    throw new FormatError(`${name}: its data_offsets are not a pair of sizes`);
  }
  const [from, to] = offsets;
  if (to < from || to > size) {
    throw new FormatError(
      `${name}: lies at bytes ${from} to ${to} of the data, which has ${size}: the file is cut off or its header wrong`,
    );
  }
  const bytes = sizes[dtype] * sizeOf(shape);
  if (to - from !== bytes) {
    throw new FormatError(
      `${name}: shape ${shapeText(shape)} needs ${bytes} bytes, its data_offsets span ${to - from}`,
    );
  }
  return { dtype, shape, from, to };
}

function isOneOf<D extends string>(value: unknown, sizes: Readonly<Record<D, number>>): value is D {
  return typeof value === 'string' && check.hasOwn(sizes, value);
}

/**
 * Finds each expected tensor in a file: missing ones, those left over and wrong shapes are all named.
 */
export function match(
  tensors: ReadonlyMap<string, Tensor>,
  expected: readonly { name: string; shape: readonly number[] }[],
): Map<string, Float32Array> {
  const found = new Map<string, Float32Array>();
  const rest = new Set(tensors.keys());
  const missing: string[] = [];
  const wrong: string[] = [];
  for (const { name, shape } of expected) {
    const tensor = tensors.get(name);
    if (!tensor) {
      missing.push(name);
      continue;
    }
    rest.delete(name);
    if (tensor.shape.join() === shape.join()) found.set(name, tensor.data);
    else wrong.push(`${name} is ${shapeText(tensor.shape)} and not ${shapeText(shape)}`);
  }
  const faults = [
    missing.length ? `missing ${check.list(missing)}` : '',
    rest.size ? `not expected ${check.list([...rest])}` : '',
    wrong.length ? check.list(wrong) : '',
  ].filter(Boolean);
  if (faults.length) throw new FormatError(`the tensors do not fit the model: ${faults.join('; ')}`);
  return found;
}
