/** What the lifter makes of each operator but the recurrent ones. */
import {
  cast,
  constantNode,
  constantOfShape,
  expand,
  flatten,
  multiply,
  reshape,
  shapeOf,
  sized,
  squeeze,
  transpose,
  unsqueeze,
} from './onnx-axes.js';
import { axisOf, concatAlong, constant, sliceIndices, takeAlong, transposeAxes } from './onnx-constants.js';
import type { Lifter, Operator } from './onnx-lift.js';
import type { Constant, OnnxNode } from './onnx-proto.js';
import { fault, wholeOf } from './onnx-recurrent.js';
import { type Active, type Axis, type Final, UNIT, type Value } from './onnx-values.js';

const isConstant = (value: Value): value is Constant => value.kind === 'const';

/** Whether the first axis of a value is that of directions of a final state. */
const isFinal = (value: Active) => value.stage >= 0 && value.part !== 'output' && value.axes.length === 3;

/** Rows of the first axis of an input of the graph: states of some layers. */
function inputRows(node: OnnxNode, value: Active, indices: readonly number[]): Active {
  const { input } = value;
  if (!input || indices.some((n, i) => n !== indices[0] + i) || indices.length === 0)
    return fault(node, 'takes rows of an input out of order');
  const from = (input.rows?.[0] ?? 0) + indices[0];
  const axis: Axis =
    indices.length === 1 ? UNIT : [{ tag: `${input.name}[${from}]`, size: indices.length, open: false }];
  return { ...value, axes: [axis, ...value.axes.slice(1)], input: { ...input, rows: [from, from + indices.length] } };
}

/** The numbers of an axis that a slice or an index means, if its size is known. */
function sizeAlong(axis: Axis): number | undefined {
  return axis.reduce(
    (n: number | undefined, { size }) => (n === undefined || size === undefined ? undefined : n * size),
    1,
  );
}

function gather(lifter: Lifter, node: OnnxNode): Value[] {
  const data = lifter.value(node, 0);
  const index = lifter.value(node, 1);
  const axis = wholeOf(node, 'axis', 0);
  if (isConstant(data) && index.kind === 'active') {
    const table = data.shape.length === 2 && axis === 0 && data.data instanceof Float32Array;
    return [table ? lifter.embedding(node, data, index) : fault(node, 'is not an embedding: expected a table [V,E]')];
  }
  if (!isConstant(index)) return fault(node, 'its indices are not known');
  const scalar = index.shape.length === 0;
  if (isConstant(data)) {
    const at = axisOf(node, axis, data.shape.length);
    const taken = takeAlong(
      data,
      at,
      Array.from(index.data, (i) => axisOf(node, i, data.shape[at])),
    );
    return [constant([...data.shape.slice(0, at), ...index.shape, ...data.shape.slice(at + 1)], taken.data)];
  }
  if (data.kind === 'sizes') {
    return [
      sized(
        Array.from(index.data, (i) => data.sizes[axisOf(node, i, data.sizes.length)]),
        scalar,
      ),
    ];
  }
  const [i] = index.data;
  if (!scalar) return fault(node, 'takes several rows of a layer');
  if (data.kind === 'finals' && axis === 0) return [lifter.single(data.list[axisOf(node, i, data.list.length)])];
  if (data.kind !== 'active') return fault(node, 'its input cannot be indexed');
  const at = axisOf(node, axis, data.axes.length);
  const size = sizeAlong(data.axes[at]);
  if (isFinal(data) && at === 0) {
    const { stage, part, directions } = data;
    if (part === 'output') return fault(node, 'its input has no states');
    return [lifter.single({ stage, part, direction: directions[axisOf(node, i, directions.length)] })];
  }
  if (lifter.isDirection(data, at)) {
    const one = lifter.oneDirection(data, at, axisOf(node, i, 2));
    return [{ ...one, axes: one.axes.filter((_, d) => d !== at) }];
  }
  if (data.input && at === 0) {
    const rows = inputRows(node, data, [i < 0 && size !== undefined ? i + size : i]);
    return [{ ...rows, axes: rows.axes.slice(1) }];
  }
  if (lifter.isTime(data.axes[at]) && (i === -1 || i + 1 === size)) return [lifter.pool(node, data, at, 'last', false)];
  return fault(node, 'takes one row of a layer: the last step is supported');
}

function slice(lifter: Lifter, node: OnnxNode): Value[] {
  const value = lifter.value(node, 0);
  if (value.kind === 'fill') return [value];
  const starts = lifter.numbers(node, 'starts', 1) ?? [];
  const ends = lifter.numbers(node, 'ends', 2) ?? [];
  const axes = lifter.numbers(node, 'axes', 3) ?? starts.map((_, i) => i);
  const steps = lifter.numbers(node, 'steps', 4) ?? starts.map(() => 1);
  let result: Value = value;
  axes.forEach((axis, i) => {
    const [start, end, step] = [starts[i], ends[i], steps[i]];
    if (start === 0 && end >= 2 ** 31 - 1 && step === 1) return;
    const indices = (size: number) => sliceIndices(start, end, step, size);
    if (result.kind === 'const') {
      const at = axisOf(node, axis, result.shape.length);
      result = takeAlong(result, at, indices(result.shape[at]));
    } else if (result.kind === 'sizes') {
      const { sizes } = result;
      result = sized(
        indices(sizes.length).map((n) => sizes[n]),
        false,
      );
    } else if (result.kind === 'finals' && axis === 0) {
      const { list } = result;
      result = lifter.finals(indices(list.length).map((n) => list[n]));
    } else if (result.kind === 'active') result = sliceActive(lifter, node, result, axis, [start, end, step]);
    else fault(node, 'its input cannot be sliced');
  });
  return [result];
}

function sliceActive(lifter: Lifter, node: OnnxNode, value: Active, axis: number, range: readonly number[]): Value {
  const at = axisOf(node, axis, value.axes.length);
  const size = sizeAlong(value.axes[at]);
  const [start, end, step] = range;
  const { input } = value;
  if (input && at === 0) {
    const count =
      size ?? (start >= 0 && end >= 0 ? end : fault(node, 'counts from the end of an axis whose size is not known'));
    return inputRows(node, value, sliceIndices(start, end, step, count));
  }
  if (lifter.isDirection(value, at)) {
    const [direction, ...more] = sliceIndices(start, end, step, 2);
    if (direction === undefined || more.length) return fault(node, 'takes directions out of order');
    return lifter.oneDirection(value, at, direction);
  }
  const lastStep =
    (start === -1 || (size !== undefined && start === size - 1)) && end >= (size ?? 2 ** 31 - 1) && step === 1;
  if (lifter.isTime(value.axes[at]) && lastStep) return lifter.pool(node, value, at, 'last', true);
  return fault(node, 'takes a part of a layer: the last step is supported');
}

function split(lifter: Lifter, node: OnnxNode): Value[] {
  const value = lifter.value(node, 0);
  const axis = wholeOf(node, 'axis', 0);
  const n = node.outputs.length;
  if (value.kind === 'fill') return node.outputs.map(() => value);
  const given = lifter.numbers(node, 'split', 1);
  const parts = (size: number) => {
    const sizes =
      given ?? Array.from({ length: n }, (_, i) => Math.min(Math.ceil(size / n), size - i * Math.ceil(size / n)));
    let from = 0;
    return sizes.map((length) => {
      from += length;
      return Array.from({ length }, (_, i) => from - length + i);
    });
  };
  if (value.kind === 'const') {
    const at = axisOf(node, axis, value.shape.length);
    return parts(value.shape[at]).map((indices) => takeAlong(value, at, indices));
  }
  if (value.kind === 'finals' && axis === 0) {
    return parts(value.list.length).map((indices) => lifter.finals(indices.map((i) => value.list[i])));
  }
  if (value.kind === 'active' && value.input && axis === 0) {
    const size = sizeAlong(value.axes[0]) ?? given?.reduce((a, b) => a + b, 0);
    if (size !== undefined) return parts(size).map((indices) => inputRows(node, value, indices));
  }
  return fault(node, 'splits the output of a layer');
}

function concat(lifter: Lifter, node: OnnxNode): Value[] {
  const values = node.inputs.map((_, i) => lifter.value(node, i));
  const axis = wholeOf(node, 'axis', 0);
  if (values.every(isConstant)) return [concatAlong(node, values, axisOf(node, axis, values[0].shape.length))];
  const sizes = values.map((value) => lifter.sizes(value));
  if (sizes.every((list) => list !== undefined)) return [sized(sizes.flat(), false)];
  const [first] = values;
  if (values.length === 1) return values;
  if (first.kind === 'fill' && values.every((v) => v.kind === 'fill' && v.value === first.value)) return [first];
  const actives = values.filter((value) => value.kind === 'active');
  const states = values.flatMap((value): readonly (Final | undefined)[] => {
    if (value.kind === 'finals') return value.list;
    if (value.kind !== 'active' || !isFinal(value) || value.part === 'output') return [undefined];
    const { stage, part, directions } = value;
    return directions.map((direction) => ({ stage, part, direction }));
  });
  if (axis === 0 && states.every((state): state is Final => state !== undefined)) return [lifter.finals(states)];
  const [a, b] = actives;
  const both =
    actives.length === 2 && values.length === 2 && lifter.bothDirections(a, b, axisOf(node, axis, a.axes.length));
  if (both) return [both];
  return fault(
    node,
    'puts outputs of layers together: only directions, and final states, in their order are supported',
  );
}

function matMul(lifter: Lifter, node: OnnxNode): Value[] {
  const [x, w] = [lifter.value(node, 0), lifter.constant(node, 1)];
  if (w.shape.length !== 2) return fault(node, `expected a matrix, its second input has ${w.shape.length} axes`);
  return [lifter.linear(node, x, { shape: w.shape, data: Float32Array.from(w.data) })];
}

function gemm(lifter: Lifter, node: OnnxNode): Value[] {
  for (const [name, usual] of [
    ['alpha', 1],
    ['beta', 1],
    ['transA', 0],
  ] as const) {
    const value = node.attributes.get(name) ?? usual;
    if (value !== usual) fault(node, `attribute '${name}' (${String(value)}) is not supported`);
  }
  const given = lifter.constant(node, 1);
  const w = wholeOf(node, 'transB', 0) ? transposeAxes(given, [1, 0]) : given;
  const c = lifter.optional(node, 2);
  if (c && c.kind !== 'const') return fault(node, 'its bias is not a constant');
  const O = w.shape[1];
  const bias = c && Float32Array.from({ length: O }, (_, i) => c.data[c.data.length === 1 ? 0 : i]);
  if (c && c.data.length !== 1 && (c.data.length !== O || c.shape[c.shape.length - 1] !== O)) {
    return fault(node, `its bias is [${c.shape.join(', ')}], expected [${O}]`);
  }
  return [lifter.linear(node, lifter.value(node, 0), { shape: w.shape, data: Float32Array.from(w.data) }, bias)];
}

function addition(lifter: Lifter, node: OnnxNode): Value[] {
  const [a, b] = [lifter.value(node, 0), lifter.value(node, 1)];
  if (isConstant(b)) return [lifter.bias(node, a, b)];
  if (isConstant(a)) return [lifter.bias(node, b, a)];
  return fault(node, 'adds two outputs of layers; a chain of layers is supported');
}

function layerNormalization(lifter: Lifter, node: OnnxNode): Value[] {
  const value = lifter.value(node, 0);
  const axis = wholeOf(node, 'axis', -1);
  const rank = value.kind === 'active' ? value.axes.length : 0;
  if (axis !== -1 && axis !== rank - 1) return fault(node, `attribute 'axis' is ${axis}; supported: the last axis`);
  const weight = lifter.constant(node, 1);
  const bias = lifter.optional(node, 2);
  const epsilon = Number(node.attributes.get('epsilon') ?? 1e-5);
  return [
    lifter.rowwise(node, value, (F) => {
      const values = bias?.kind === 'const' ? bias.data : new Float32Array(F);
      if (weight.data.length !== F || values.length !== F) fault(node, `expected ${F} numbers as its scale and bias`);
      lifter.weight(node, 'weight', Float32Array.from(weight.data));
      lifter.weight(node, 'bias', Float32Array.from(values));
      return { draft: { kind: 'layerNorm', name: node.name, inputSize: F, epsilon }, outputSize: F };
    }),
  ];
}

const softmax =
  (kind: 'softmax' | 'logSoftmax'): Operator =>
  (lifter, node) => {
    const value = lifter.value(node, 0);
    const rank = value.kind === 'active' ? value.axes.length : 0;
    const axis = wholeOf(node, 'axis', lifter.opset < 13 ? 1 : -1);
    if (axis !== -1 && axis !== rank - 1) return fault(node, `attribute 'axis' is ${axis}; supported: the last axis`);
    return [lifter.elementwise(node, value, { kind, name: node.name })];
  };

const activation =
  (name: 'tanh' | 'sigmoid' | 'relu'): Operator =>
  (lifter, node) => [
    lifter.elementwise(node, lifter.value(node, 0), { kind: 'activation', name: node.name, activation: name }),
  ];

const reduce =
  (pool: 'mean' | 'max'): Operator =>
  (lifter, node) => {
    const value = lifter.value(node, 0);
    const [axis, ...more] = lifter.numbers(node, 'axes', 1) ?? [];
    if (value.kind !== 'active' || axis === undefined || more.length)
      return fault(node, 'is supported along the axis of time only');
    const at = axisOf(node, axis, value.axes.length);
    return [lifter.pool(node, value, at, pool, wholeOf(node, 'keepdims', 1) === 1)];
  };

const identity: Operator = (lifter, node) => [lifter.value(node, 0)];

export const operators: Readonly<Record<string, Operator>> = {
  Add: addition,
  Cast: cast,
  Concat: concat,
  Constant: constantNode,
  ConstantOfShape: constantOfShape,
  Dropout: identity,
  Expand: expand,
  Flatten: flatten,
  Gather: gather,
  Gemm: gemm,
  Identity: identity,
  LayerNormalization: layerNormalization,
  LogSoftmax: softmax('logSoftmax'),
  MatMul: matMul,
  Mul: multiply,
  ReduceMax: reduce('max'),
  ReduceMean: reduce('mean'),
  Relu: activation('relu'),
  Reshape: reshape,
  Shape: shapeOf,
  Sigmoid: activation('sigmoid'),
  Slice: slice,
  Softmax: softmax('softmax'),
  Split: split,
  Squeeze: squeeze,
  Tanh: activation('tanh'),
  Transpose: transpose,
  Unsqueeze: unsqueeze,
};
