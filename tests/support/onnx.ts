/** A reader for what the operator tests of ONNX hold: one node of a graph, its attributes, and tensors. Just enough of protobuf. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

type Field = { readonly field: number; readonly value: bigint | Uint8Array };

function* fields(bytes: Uint8Array): Generator<Field> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = 0;
  const varint = () => {
    let value = 0n;
    for (let shift = 0n; ; shift += 7n) {
      const byte = bytes[at++];
      value |= BigInt(byte & 127) << shift;
      if (byte < 128) return value;
    }
  };
  while (at < bytes.length) {
    const key = Number(varint());
    const [field, wire] = [key >> 3, key & 7];
    if (wire === 0) yield { field, value: varint() };
    else if (wire === 2) {
      const length = Number(varint());
      yield { field, value: bytes.subarray(at, at + length) };
      at += length;
    } else if (wire === 5) {
      yield { field, value: BigInt(view.getUint32(at, true)) };
      at += 4;
    } else throw new Error(`wire type ${wire}`);
  }
}

const all = (bytes: Uint8Array, wanted: number) =>
  [...fields(bytes)].filter(({ field }) => field === wanted).map(({ value }) => value);
const text = (value: bigint | Uint8Array | undefined) => new TextDecoder().decode(value as Uint8Array);

export interface Tensor {
  readonly name: string;
  readonly dims: readonly number[];
  readonly data: Float32Array | Int32Array;
}

function tensor(bytes: Uint8Array): Tensor {
  const dims = all(bytes, 1).flatMap((v) => (typeof v === 'bigint' ? [Number(v)] : [...packed(v)]));
  const type = Number(all(bytes, 2)[0]);
  const raw = all(bytes, 9)[0] as Uint8Array | undefined;
  const float = type === 1;
  const own = raw ?? (all(bytes, float ? 4 : 5)[0] as Uint8Array | undefined);
  if (!raw && !float && own) return { name: text(all(bytes, 8)[0]), dims, data: Int32Array.from(packed(own)) };
  const buffer = new Uint8Array(own ?? []).buffer;
  return { name: text(all(bytes, 8)[0]), dims, data: float ? new Float32Array(buffer) : new Int32Array(buffer) };
}

/** Whole numbers, one after the other. */
function* packed(bytes: Uint8Array): Generator<number> {
  let value = 0;
  let shift = 0;
  for (const byte of bytes) {
    value += (byte & 127) * 2 ** shift;
    shift += 7;
    if (byte < 128) {
      yield value;
      value = 0;
      shift = 0;
    }
  }
}

export interface OperatorTest {
  readonly name: string;
  readonly op: string;
  readonly attributes: Record<string, number | string | readonly string[]>;
  /** Inputs of the node by ONNX's names, X W R B sequence_lens initial_h initial_c P, and its outputs Y Y_h Y_c. */
  readonly inputs: Record<string, Tensor>;
  readonly outputs: Record<string, Tensor>;
}

const INPUTS = ['X', 'W', 'R', 'B', 'sequence_lens', 'initial_h', 'initial_c', 'P'];
const OUTPUTS = ['Y', 'Y_h', 'Y_c'];

function readTest(folder: string, name: string): OperatorTest {
  const model = new Uint8Array(readFileSync(join(folder, name, 'model.onnx')));
  const graph = all(model, 7)[0] as Uint8Array;
  const [node] = all(graph, 1) as Uint8Array[];
  const attributes = Object.fromEntries(
    (all(node, 5) as Uint8Array[]).map((a) => {
      const type = Number(all(a, 20)[0]);
      const value =
        type === 2
          ? Number(all(a, 3)[0])
          : type === 3
            ? text(all(a, 4)[0])
            : type === 8
              ? all(a, 9).map(text)
              : Number.NaN;
      return [text(all(a, 1)[0]), value];
    }),
  );
  const values = new Map<string, Tensor>();
  for (const t of all(graph, 5) as Uint8Array[]) values.set(tensor(t).name, tensor(t));
  const data = join(folder, name, 'test_data_set_0');
  const graphNames = (field: number) =>
    (all(graph, field) as Uint8Array[]).map((v) => text(all(v, 1)[0])).filter((n) => !values.has(n));
  const inputNames = graphNames(11);
  const outputNames = graphNames(12);
  const files = readdirSync(data);
  const load = (kind: string, names: string[]) =>
    names.forEach((n, i) => {
      if (files.includes(`${kind}_${i}.pb`))
        values.set(n, tensor(new Uint8Array(readFileSync(join(data, `${kind}_${i}.pb`)))));
    });
  load('input', inputNames);
  const inputs: Record<string, Tensor> = {};
  (all(node, 1) as Uint8Array[]).map(text).forEach((n, i) => {
    const value = values.get(n);
    if (n && value) inputs[INPUTS[i]] = value;
  });
  load('output', outputNames);
  const outputs: Record<string, Tensor> = {};
  (all(node, 2) as Uint8Array[]).map(text).forEach((n, i) => {
    const value = values.get(n);
    if (n && value) outputs[OUTPUTS[i]] = value;
  });
  // in LSTM and GRU the operators' inputs have the same places; only an LSTM has initial_c and P
  return { name, op: text(all(node, 4)[0]), attributes, inputs, outputs };
}

/** The tests in a folder; none where it does not exist. */
export function operatorTests(folder: string): OperatorTest[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder)
    .filter((name) => existsSync(join(folder, name, 'model.onnx')))
    .map((name) => readTest(folder, name))
    .filter(({ op }) => ['RNN', 'GRU', 'LSTM'].includes(op));
}
