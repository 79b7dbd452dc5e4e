/** Just enough of safetensors to hand numbers to a program in another language. */
const TYPES = { F32: Float32Array, I32: Int32Array };

/** Arrays by name, one dimension each. */
export function pack(arrays, metadata = {}) {
  const header = { __metadata__: metadata };
  let at = 0;
  for (const [name, values] of Object.entries(arrays)) {
    const dtype = Object.keys(TYPES).find((type) => values instanceof TYPES[type]);
    header[name] = { dtype, shape: [values.length], data_offsets: [at, at + values.byteLength] };
    at += values.byteLength;
  }
  let text = JSON.stringify(header);
  text += ' '.repeat((8 - (Buffer.byteLength(text) % 8)) % 8);
  const size = Buffer.alloc(8);
  size.writeBigUInt64LE(BigInt(Buffer.byteLength(text)));
  const data = Object.values(arrays).map(({ buffer, byteOffset, byteLength }) =>
    Buffer.from(buffer, byteOffset, byteLength),
  );
  return Buffer.concat([size, Buffer.from(text), ...data]);
}

export function unpack(bytes) {
  const start = 8 + Number(bytes.readBigUInt64LE(0));
  const { __metadata__: _, ...header } = JSON.parse(bytes.subarray(8, start).toString());
  return Object.fromEntries(
    Object.entries(header).map(
      ([
        name,
        {
          dtype,
          data_offsets: [from, to],
        },
      ]) => [name, new TYPES[dtype](new Uint8Array(bytes.subarray(start + from, start + to)).buffer)],
    ),
  );
}
