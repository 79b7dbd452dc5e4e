/** Just enough of safetensors to exchange numbers with a program in another language. */

type Values = Float32Array | Int32Array;

interface Entry {
  readonly dtype: 'F32' | 'I32';
  readonly shape: readonly number[];
  readonly data_offsets: readonly [number, number];
}

/** Arrays by name, of one dimension each. */
export function pack(
  arrays: Readonly<Record<string, Values>>,
  metadata: Readonly<Record<string, string>> = {},
): Uint8Array {
  const entries: Record<string, Entry> = {};
  let at = 0;
  for (const [name, values] of Object.entries(arrays)) {
    const dtype = values instanceof Float32Array ? 'F32' : 'I32';
    entries[name] = { dtype, shape: [values.length], data_offsets: [at, at + values.byteLength] };
    at += values.byteLength;
  }
  const header = new TextEncoder().encode(JSON.stringify({ __metadata__: metadata, ...entries }));
  const start = 8 + 8 * Math.ceil(header.length / 8);
  const bytes = new Uint8Array(start + at).fill(32, 8, start);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(start - 8), true);
  bytes.set(header, 8);
  for (const [name, values] of Object.entries(arrays)) {
    const from = start + entries[name].data_offsets[0];
    bytes.set(new Uint8Array(values.buffer, values.byteOffset, values.byteLength), from);
  }
  return bytes;
}

export function unpack(bytes: Uint8Array): Record<string, Values> {
  const start = 8 + Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true));
  const header: Record<string, Entry> = JSON.parse(new TextDecoder().decode(bytes.subarray(8, start)));
  const arrays: Record<string, Values> = {};
  for (const [name, { dtype, data_offsets }] of Object.entries(header)) {
    if (name === '__metadata__') continue;
    // slice would not copy the Buffer that a file is read into
    const { buffer } = new Uint8Array(bytes.subarray(start + data_offsets[0], start + data_offsets[1]));
    arrays[name] = dtype === 'F32' ? new Float32Array(buffer) : new Int32Array(buffer);
  }
  return arrays;
}
