/**
 * ONNX's files: protocol buffers with a graph of nodes and its tensors. Numbers of fields are those of onnx/onnx.proto, release 1.19.
 */
import type { PbfReader } from 'pbf';
import { FormatError, UnsupportedError } from '../index.js';
import { BYTES, type Dtype, floats, reader } from './dtypes.js';
import { bytesOf, guarded, library, sizeOf } from './files.js';

/** A tensor whose numbers are known. Whole numbers keep all their digits. */
export interface Constant {
  readonly kind: 'const';
  readonly shape: readonly number[];
  readonly data: Float32Array | Float64Array;
}

export type Attribute = number | string | readonly number[] | readonly string[] | Constant;

export interface OnnxNode {
  readonly name: string;
  readonly op: string;
  /** Names of values; '' where an optional one is left out. */
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes: ReadonlyMap<string, Attribute>;
}

/** An input or output of the graph. */
export interface OnnxValue {
  readonly name: string;
  /** Whether its numbers are floats. */
  readonly float: boolean;
  /** Its sizes, undefined where they can differ. */
  readonly shape: readonly (number | undefined)[];
}

export interface OnnxGraph {
  /** Version of the operators. */
  readonly opset: number;
  readonly nodes: readonly OnnxNode[];
  readonly constants: ReadonlyMap<string, Constant>;
  /** Inputs that are no constants. */
  readonly inputs: readonly OnnxValue[];
  readonly outputs: readonly OnnxValue[];
}

const TYPES: Readonly<Record<number, Dtype>> = {
  1: 'F32',
  2: 'U8',
  3: 'I8',
  5: 'I16',
  6: 'I32',
  7: 'I64',
  9: 'BOOL',
  10: 'F16',
  11: 'F64',
  16: 'BF16',
};
const FLOATS = [1, 10, 11, 16];

/** What a node is called in messages. */
export const called = ({ name, op }: OnnxNode) => `node '${name}' (${op})`;

type Fields = (tag: number) => void;

/** A message within another. A length that leads past the end of the file is refused before anything is read. */
function message(pbf: PbfReader, fields: Fields): void {
  const end = pbf.readVarint() + pbf.pos;
  if (end > pbf.length)
    throw new FormatError(`the file is cut off: a message would end at byte ${end} of ${pbf.length}`);
  pbf.readFields(fields, null, end);
}

/** Bytes, or numbers in a row: the same check. */
function checked(pbf: PbfReader): PbfReader {
  if (pbf.type === 2) {
    const { pos } = pbf;
    const end = pbf.readVarint() + pbf.pos;
    if (end > pbf.length)
      throw new FormatError(`the file is cut off: a field would end at byte ${end} of ${pbf.length}`);
    pbf.pos = pos;
  }
  return pbf;
}

function tensor(pbf: PbfReader, whole = false): { name: string; constant: Constant } {
  const shape: number[] = [];
  let type = 0;
  let name = '';
  let raw: Uint8Array | undefined;
  let external = false;
  const numbers: number[] = [];
  const fields: Fields = (tag) => {
    if (tag === 1) checked(pbf).readPackedVarint(shape, true);
    else if (tag === 2) type = pbf.readVarint();
    else if (tag === 4) checked(pbf).readPackedFloat(numbers);
    else if (tag === 5 || tag === 7) checked(pbf).readPackedVarint(numbers, true);
    else if (tag === 8) name = checked(pbf).readString();
    else if (tag === 9) raw = checked(pbf).readBytes();
    else if (tag === 10) checked(pbf).readPackedDouble(numbers);
    else if (tag === 13) external = true;
  };
  if (whole) pbf.readFields(fields, null);
  else message(pbf, fields);
  const dtype = TYPES[type];
  if (!dtype) throw new UnsupportedError(`tensor '${name}': numbers of type ${type} are not supported`);
  if (external)
    throw new UnsupportedError(`tensor '${name}': its numbers are in another file; save the model with them inside`);
  const size = sizeOf(shape);
  let bytes = raw;
  if (!bytes && (dtype === 'F16' || dtype === 'BF16')) {
    // their bits are in int32_data
    bytes = new Uint8Array(Uint16Array.from(numbers).buffer);
  }
  const have = bytes ? bytes.length / BYTES[dtype] : numbers.length;
  if (have !== size)
    throw new FormatError(`tensor '${name}': shape [${shape.join(', ')}] needs ${size} numbers, it has ${have}`);
  let data: Constant['data'];
  if (bytes && FLOATS.includes(type)) data = floats(`tensor '${name}'`, dtype, bytes, size);
  else if (bytes) {
    const read = reader(dtype, new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength));
    data = Float64Array.from({ length: size }, (_, i) => read(i));
  } else {
    data = FLOATS.includes(type) ? Float32Array.from(numbers) : Float64Array.from(numbers);
    const bad = data.findIndex((x) => !Number.isFinite(x));
    if (bad >= 0) throw new FormatError(`tensor '${name}': number ${bad} is ${data[bad]}; expected finite numbers`);
  }
  return { name, constant: { kind: 'const', shape, data } };
}

function attribute(pbf: PbfReader): [string, Attribute] {
  let name = '';
  let value: Attribute | undefined;
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  const numbers: number[] = [];
  const strings: string[] = [];
  let type = 0;
  message(pbf, (tag) => {
    if (tag === 1) name = checked(pbf).readString();
    else if (tag === 2) value = pbf.readFloat();
    else if (tag === 3) value = pbf.readVarint(true);
    else if (tag === 4) value = text(checked(pbf).readBytes());
    else if (tag === 5) value = tensor(pbf).constant;
    else if (tag === 7) checked(pbf).readPackedFloat(numbers);
    else if (tag === 8) checked(pbf).readPackedVarint(numbers, true);
    else if (tag === 9) strings.push(text(checked(pbf).readBytes()));
    else if (tag === 20) type = pbf.readVarint();
  });
  if (type === 6 || type === 7) value = numbers;
  if (type === 8) value = strings;
  // what is 0 or '' is not written
  if (value === undefined && (type === 1 || type === 2)) value = 0;
  if (value === undefined && type === 3) value = '';
  if (value === undefined) throw new UnsupportedError(`attribute '${name}': its type ${type} is not supported`);
  return [name, value];
}

function node(pbf: PbfReader, index: number): OnnxNode {
  const inputs: string[] = [];
  const outputs: string[] = [];
  const attributes = new Map<string, Attribute>();
  let name = '';
  let op = '';
  let domain = '';
  message(pbf, (tag) => {
    if (tag === 1) inputs.push(checked(pbf).readString());
    else if (tag === 2) outputs.push(checked(pbf).readString());
    else if (tag === 3) name = checked(pbf).readString();
    else if (tag === 4) op = checked(pbf).readString();
    else if (tag === 5) {
      const [key, value] = attribute(pbf);
      attributes.set(key, value);
    } else if (tag === 7) domain = checked(pbf).readString();
  });
  if (domain !== '' && domain !== 'ai.onnx') op = `${domain}.${op}`;
  return { name: name || `${op}_${index}`, op, inputs, outputs, attributes };
}

function value(pbf: PbfReader): OnnxValue {
  let name = '';
  let type = 0;
  const shape: (number | undefined)[] = [];
  const dimension = (tag: number) => {
    if (tag === 1) shape[shape.length - 1] = pbf.readVarint();
  };
  const fields = {
    value: (tag: number) => {
      if (tag === 1) name = checked(pbf).readString();
      else if (tag === 2) message(pbf, fields.type);
    },
    type: (tag: number) => {
      if (tag === 1) message(pbf, fields.tensor);
    },
    tensor: (tag: number) => {
      if (tag === 1) type = pbf.readVarint();
      else if (tag === 2) message(pbf, fields.shape);
    },
    shape: (tag: number) => {
      if (tag !== 1) return;
      shape.push(undefined);
      message(pbf, dimension);
    },
  };
  message(pbf, fields.value);
  return { name, float: FLOATS.includes(type), shape };
}

async function open(bytes: Uint8Array | ArrayBuffer): Promise<PbfReader> {
  const { PbfReader } = await library('pbf', () => import('pbf'));
  return new PbfReader(bytesOf(bytes));
}

const DAMAGED = 'the file is not one of ONNX, or damaged';

/**
 * Reads an ONNX file: its nodes and tensors.
 *
 * Needs the package `pbf`.
 */
export async function readOnnx(bytes: Uint8Array | ArrayBuffer): Promise<OnnxGraph> {
  const pbf = await open(bytes);
  return guarded(DAMAGED, () => {
    const nodes: OnnxNode[] = [];
    const constants = new Map<string, Constant>();
    const inputs: OnnxValue[] = [];
    const outputs: OnnxValue[] = [];
    let opset = 0;
    let graphs = 0;
    const graph = (tag: number) => {
      if (tag === 1) nodes.push(node(pbf, nodes.length));
      else if (tag === 5) {
        const { name, constant } = tensor(pbf);
        constants.set(name, constant);
      } else if (tag === 11) inputs.push(value(pbf));
      else if (tag === 12) outputs.push(value(pbf));
      else if (tag === 15) throw new UnsupportedError('sparse tensors are not supported');
    };
    pbf.readFields((tag) => {
      if (tag === 7) {
        graphs++;
        message(pbf, graph);
      } else if (tag === 8) {
        let domain = '';
        let version = 0;
        message(pbf, (field) => {
          if (field === 1) domain = checked(pbf).readString();
          else if (field === 2) version = pbf.readVarint();
        });
        if (domain === '' || domain === 'ai.onnx') opset = version;
      }
    }, null);
    if (graphs !== 1 || nodes.length === 0)
      throw new FormatError('the file has no graph with nodes: it is not one of ONNX');
    return { opset, nodes, constants, inputs: inputs.filter(({ name }) => !constants.has(name)), outputs };
  });
}

/** Reads a file with one tensor, as ONNX keeps test data (`input_0.pb`). */
export async function readOnnxTensor(bytes: Uint8Array | ArrayBuffer): Promise<Constant & { name: string }> {
  const pbf = await open(bytes);
  return guarded(DAMAGED, () => {
    const { name, constant } = tensor(pbf, true);
    return { ...constant, name };
  });
}
