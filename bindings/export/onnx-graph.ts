/**
 * A graph of ONNX while it grows, and how it becomes a file: protocol buffers, whose numbers of fields are those of onnx/onnx.proto,
 * release 1.19.
 */
import type { PbfWriter } from 'pbf';

/** What `ir_version` and the operators' version say: ONNX 1.12 of 2022, which every runtime of today reads. */
const IR_VERSION = 8;
const OPSET = 17;

const TYPES = { float: 1, int32: 6, int64: 7 } as const;
type Type = keyof typeof TYPES;

/** A size of an input or output; a name where it can differ. */
export type Size = number | string;

type Attribute = number | string | readonly number[] | readonly string[];

interface Value {
  readonly name: string;
  readonly type: Type;
  readonly shape: readonly Size[];
}

interface Node {
  readonly op: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes: Readonly<Record<string, Attribute>>;
}

interface Constant {
  readonly type: Type;
  readonly shape: readonly number[];
  readonly data: Float32Array | BigInt64Array;
}

/** Attributes that are floats even where their value is a whole number. */
const FLOATS = ['activation_alpha', 'activation_beta', 'clip'];

export class Graph {
  readonly #inputs: Value[] = [];
  readonly #outputs: Value[] = [];
  readonly #nodes: Node[] = [];
  readonly #constants = new Map<string, Constant>();
  #count = 0;

  /** @param name of the graph, say that of the task */
  constructor(readonly name: string) {}

  input(name: string, type: Type, shape: readonly Size[]): string {
    this.#inputs.push({ name, type, shape });
    return name;
  }

  /** Declares an output, and gives a value its name. */
  output(name: string, value: string, shape: readonly Size[]): void {
    this.#nodes.push({ op: 'Identity', inputs: [value], outputs: [name], attributes: {} });
    this.#outputs.push({ name, type: 'float', shape });
  }

  /** Weights. The same name twice is the same tensor. */
  floats(name: string, shape: readonly number[], data: Float32Array): string {
    this.#constants.set(name, { type: 'float', shape, data });
    return name;
  }

  /** Whole numbers, say axes. */
  ints(...values: number[]): string {
    const name = `ints.${values.join('.')}`;
    this.#constants.set(name, { type: 'int64', shape: [values.length], data: BigInt64Array.from(values, BigInt) });
    return name;
  }

  /** A single number. */
  float(value: number): string {
    return this.floats(`float.${value}`, [], Float32Array.of(value));
  }

  /** A node with one output, whose name it returns. '' stands for an optional input that is left out. */
  node(op: string, inputs: readonly string[], attributes: Readonly<Record<string, Attribute>> = {}): string {
    return this.nodes(op, inputs, 1, attributes)[0];
  }

  /** A node with several outputs. */
  nodes(
    op: string,
    inputs: readonly string[],
    outputs: number,
    attributes: Readonly<Record<string, Attribute>> = {},
  ): string[] {
    const names = Array.from({ length: outputs }, () => `${op}.${this.#count++}`);
    this.#nodes.push({ op, inputs, outputs: names, attributes });
    return names;
  }

  /** The file. @param metadata texts that it keeps */
  write(pbf: PbfWriter, metadata: Readonly<Record<string, string>>): Uint8Array<ArrayBuffer> {
    pbf.writeVarintField(1, IR_VERSION);
    pbf.writeStringField(2, 'gatewise');
    pbf.writeMessage(7, (graph, p) => graph.#write(p), this);
    pbf.writeMessage(8, (version, p) => p.writeVarintField(2, version), OPSET);
    for (const [key, value] of Object.entries(metadata)) {
      pbf.writeMessage(
        14,
        (text, p) => {
          p.writeStringField(1, key);
          p.writeStringField(2, text);
        },
        value,
      );
    }
    return new Uint8Array(pbf.finish());
  }

  #write(pbf: PbfWriter): void {
    for (const node of this.#nodes) pbf.writeMessage(1, writeNode, node);
    pbf.writeStringField(2, this.name);
    for (const [name, constant] of this.#constants) {
      pbf.writeMessage(5, (own, p) => writeConstant(name, own, p), constant);
    }
    for (const value of this.#inputs) pbf.writeMessage(11, writeValue, value);
    for (const value of this.#outputs) pbf.writeMessage(12, writeValue, value);
  }
}

function writeNode({ op, inputs, outputs, attributes }: Node, pbf: PbfWriter): void {
  for (const name of inputs) pbf.writeStringField(1, name);
  for (const name of outputs) pbf.writeStringField(2, name);
  pbf.writeStringField(3, outputs[0]);
  pbf.writeStringField(4, op);
  for (const [name, value] of Object.entries(attributes)) {
    pbf.writeMessage(5, (own, p) => writeAttribute(name, own, p), value);
  }
}

function writeAttribute(name: string, value: Attribute, pbf: PbfWriter): void {
  pbf.writeStringField(1, name);
  if (typeof value === 'number' && FLOATS.includes(name)) {
    pbf.writeFloatField(2, value);
    pbf.writeVarintField(20, 1);
  } else if (typeof value === 'number') {
    pbf.writeVarintField(3, value);
    pbf.writeVarintField(20, 2);
  } else if (typeof value === 'string') {
    pbf.writeStringField(4, value);
    pbf.writeVarintField(20, 3);
  } else if (FLOATS.includes(name)) {
    for (const own of value) pbf.writeFloatField(7, Number(own));
    pbf.writeVarintField(20, 6);
  } else {
    for (const own of value) {
      if (typeof own === 'string') pbf.writeStringField(9, own);
      else pbf.writeVarintField(8, own);
    }
    pbf.writeVarintField(20, typeof value[0] === 'string' ? 8 : 7);
  }
}

function writeConstant(name: string, { type, shape, data }: Constant, pbf: PbfWriter): void {
  for (const size of shape) pbf.writeVarintField(1, size);
  pbf.writeVarintField(2, TYPES[type]);
  pbf.writeStringField(8, name);
  pbf.writeBytesField(9, new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
}

function writeValue({ name, type, shape }: Value, pbf: PbfWriter): void {
  const size = (own: Size, p: PbfWriter) => {
    if (typeof own === 'number') p.writeVarintField(1, own);
    else p.writeStringField(2, own);
  };
  const tensor = (_: null, p: PbfWriter) => {
    p.writeVarintField(1, TYPES[type]);
    p.writeMessage(
      2,
      (sizes, q) => {
        for (const own of sizes) q.writeMessage(1, size, own);
      },
      shape,
    );
  };
  pbf.writeStringField(1, name);
  pbf.writeMessage(2, (_, p) => p.writeMessage(1, tensor, null), null);
}
