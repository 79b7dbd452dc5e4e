/**
 * safetensors: eight bytes with the header's length, a header in JSON, the numbers, little-endian.
 * https://github.com/huggingface/safetensors#format
 */
import { list } from '../check.js';
import { FormatError } from '../errors.js';

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

export function encode(
  tensors: ReadonlyMap<string, Tensor>,
  metadata: Record<string, string>,
): Uint8Array<ArrayBuffer> {
  const header: Record<string, unknown> = { __metadata__: metadata };
  let end = 0;
  for (const [name, { shape, data }] of tensors) {
    header[name] = { dtype: 'F32', shape, data_offsets: [end, end + data.byteLength] };
    end += data.byteLength;
  }
  let text = encodeText(JSON.stringify(header));
  const padded = new Uint8Array(Math.ceil(text.length / 8) * 8).fill(0x20);
  padded.set(text);
  text = padded;
  const bytes = new Uint8Array(8 + text.length + end);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(text.length), true);
  bytes.set(text, 8);
  let at = 8 + text.length;
  for (const { data } of tensors.values()) {
    bytes.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), at);
    at += data.byteLength;
  }
  return bytes;
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

/** Reads a file and holds it to its word. Throws FormatError. */
export function decode(bytes: Uint8Array | ArrayBuffer): TensorFile {
  // by their tags: buffers of another realm, say of an iframe, are welcome
  const tag = Object.prototype.toString.call(bytes);
  const whole = tag === '[object ArrayBuffer]' || tag === '[object SharedArrayBuffer]';
  if (!whole && tag !== '[object Uint8Array]') throw new TypeError('bytes: expected a Uint8Array or an ArrayBuffer');
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
  let header: unknown;
  try {
    header = JSON.parse(decodeText(file.subarray(8, 8 + length)));
  } catch {
    throw new FormatError('the header of the file is not valid JSON');
  }
  if (!isRecord(header)) throw new FormatError('the header of the file is not a JSON object');
  const { __metadata__: metadata = {}, ...entries } = header;
  if (!isRecord(metadata) || !Object.values(metadata).every((v) => typeof v === 'string')) {
    throw new FormatError('the metadata of the file are not all strings');
  }
  const tensors = new Map<string, Tensor>();
  const spans: { name: string; from: number; to: number }[] = [];
  const size = file.length - 8 - length;
  for (const [name, entry] of Object.entries(entries)) {
    const { shape, from, to } = checkEntry(name, entry, size);
    spans.push({ name, from, to });
    tensors.set(name, { shape, data: floats(name, view, 8 + length + from, (to - from) / 4) });
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

function checkEntry(name: string, entry: unknown, size: number): { shape: number[]; from: number; to: number } {
  if (!isRecord(entry)) throw new FormatError(`${name}: its entry in the header is not an object`);
  const { dtype, shape, data_offsets: offsets } = entry;
  if (dtype !== 'F32') throw new FormatError(`${name}: expected numbers of type F32, got ${String(dtype)}`);
  const isSize = (n: unknown): n is number => Number.isSafeInteger(n) && (n as number) >= 0;
  if (!Array.isArray(shape) || !shape.every(isSize)) throw new FormatError(`${name}: its shape is not a list of sizes`);
  if (!Array.isArray(offsets) || offsets.length !== 2 || !offsets.every(isSize)) {
    throw new FormatError(`${name}: its data_offsets are not a pair of sizes`);
  }
  const [from, to] = offsets as [number, number];
  const bytes = shape.reduce((n: number, d: number) => n * d, 4);
  if (to < from || to > size) {
    throw new FormatError(
      `${name}: lies at bytes ${from} to ${to} of the data, which has ${size}: the file is cut off or its header wrong`,
    );
  }
  if (to - from !== bytes) {
    throw new FormatError(
      `${name}: shape [${shape.join(', ')}] needs ${bytes} bytes, its data_offsets span ${to - from}`,
    );
  }
  return { shape, from, to };
}

/** A copy of n floats, wherever they lie. */
function floats(name: string, view: DataView, at: number, n: number): Float32Array {
  const data = new Float32Array(n);
  new Uint8Array(data.buffer).set(new Uint8Array(view.buffer, view.byteOffset + at, 4 * n));
  const bad = data.findIndex((x) => !Number.isFinite(x));
  if (bad >= 0) throw new FormatError(`${name}: number ${bad} is ${data[bad]}; weights have to be finite`);
  return data;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
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
    else wrong.push(`${name} is [${tensor.shape.join(', ')}] and not [${shape.join(', ')}]`);
  }
  const faults = [
    missing.length ? `missing ${list(missing)}` : '',
    rest.size ? `not expected ${list([...rest])}` : '',
    wrong.length ? list(wrong) : '',
  ].filter(Boolean);
  if (faults.length) throw new FormatError(`the tensors do not fit the model: ${faults.join('; ')}`);
  return found;
}
