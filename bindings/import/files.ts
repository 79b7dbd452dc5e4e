/** What all importers share: tensors, optional libraries, zip files. */
import { FormatError, MemoryError, UnsupportedError } from '../index.js';

/** A tensor from a file. */
export interface Tensor {
  /** The size of each dimension; the last one varies fastest in `data`. */
  readonly shape: readonly number[];
  readonly data: Float32Array;
}

/** How many numbers a tensor of this shape has. */
export function sizeOf(shape: readonly number[]): number {
  return shape.reduce((n, d) => n * d, 1);
}

/** Loads a library that is an optional peer dependency. */
export async function library<T>(name: string, load: () => Promise<T>): Promise<T> {
  try {
    return await load();
  } catch (cause) {
    throw new UnsupportedError(
      `this import needs the package '${name}', which could not be loaded: npm install ${name}`,
      {
        cause,
      },
    );
  }
}

/** A file as bytes; buffers of another realm, of an iframe say, have no common class. */
export function bytesOf(bytes: Uint8Array | ArrayBuffer): Uint8Array {
  const tag = Object.prototype.toString.call(bytes);
  if (tag === '[object Uint8Array]' && ArrayBuffer.isView(bytes)) {
    return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }
  if (tag === '[object ArrayBuffer]' && !ArrayBuffer.isView(bytes)) return new Uint8Array(bytes);
  throw new TypeError('bytes: expected a Uint8Array or an ArrayBuffer');
}

/** Reads with a library: whatever it throws says that the file is damaged. */
export function guarded<T>(what: string, read: () => T): T {
  try {
    return read();
  } catch (cause) {
    if (cause instanceof FormatError || cause instanceof UnsupportedError) throw cause;
    if (cause instanceof MemoryError) throw cause;
    // what an engine says of a program says nothing of the file
    const native =
      cause instanceof TypeError &&
      /of undefined|of null|is not (a function|a constructor|iterable)/.test(cause.message);
    const why = native ? '' : `: ${cause instanceof Error ? cause.message : String(cause)}`;
    throw new FormatError(what + why, { cause });
  }
}

/** Whether a file begins like a zip file. */
export function isZip(bytes: Uint8Array): boolean {
  return bytes[0] === 0x50 && bytes[1] === 0x4b && bytes[2] === 3 && bytes[3] === 4;
}

/** The entries of a zip file by their paths. */
export async function unzip(bytes: Uint8Array): Promise<Record<string, Uint8Array>> {
  const { unzipSync } = await library('fflate', () => import('fflate'));
  return guarded('the zip file is damaged', () => unzipSync(bytes));
}

/** Text that has to be valid JSON. */
export function parseJson(name: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new FormatError(`${name}: is not valid JSON`, { cause });
  }
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** [R,C] as [C,R]. */
export function transposed({ shape: [R, C], data }: Tensor): Float32Array {
  const out = new Float32Array(data.length);
  for (let r = 0; r < R; r++) for (let c = 0; c < C; c++) out[c * R + r] = data[r * C + c];
  return out;
}

/** Of `count` blocks of equal size those with these numbers, in this order. */
export function blocks(values: Float32Array, count: number, order: readonly number[]): Float32Array {
  const n = values.length / count;
  const out = new Float32Array(n * order.length);
  order.forEach((from, to) => out.set(values.subarray(from * n, (from + 1) * n), to * n));
  return out;
}
