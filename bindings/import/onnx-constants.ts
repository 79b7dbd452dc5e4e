/** Operators of ONNX on constants: only those that rearrange numbers, as exporters use them around weights and shapes. */
import { FormatError } from '../index.js';
import { sizeOf } from './files.js';
import { type Constant, called, type OnnxNode } from './onnx-proto.js';

/** A constant of the same type with other numbers. */
export function constant(shape: readonly number[], data: Constant['data']): Constant {
  return { kind: 'const', shape, data };
}

/** `axis` in 0…rank-1; negative ones count from the end. */
export function axisOf(node: OnnxNode, axis: number, rank: number): number {
  const at = axis < 0 ? axis + rank : axis;
  if (!Number.isInteger(at) || at < 0 || at >= rank) {
    throw new FormatError(`${called(node)}: axis ${axis} is not one of ${rank} axes`);
  }
  return at;
}

/** Each number of the result is one of the source: `from` turns its place into that of the source. */
function gathered(source: Constant, shape: readonly number[], from: (at: readonly number[]) => number): Constant {
  const size = sizeOf(shape);
  const data = source.data instanceof Float32Array ? new Float32Array(size) : new Float64Array(size);
  const at = shape.map(() => 0);
  for (let i = 0; i < size; i++) {
    data[i] = source.data[from(at)];
    for (let d = shape.length - 1; d >= 0 && ++at[d] === shape[d]; d--) at[d] = 0;
  }
  return constant(shape, data);
}

/** How far apart neighbours along each axis lie. */
function stridesOf(shape: readonly number[]): number[] {
  return shape.map((_, d) => sizeOf(shape.slice(d + 1)));
}

export function transposeAxes(source: Constant, perm: readonly number[]): Constant {
  const strides = stridesOf(source.shape);
  return gathered(
    source,
    perm.map((p) => source.shape[p]),
    (at) => at.reduce((n, i, d) => n + i * strides[perm[d]], 0),
  );
}

/** Those with these numbers along an axis. */
export function takeAlong(source: Constant, axis: number, indices: readonly number[]): Constant {
  const strides = stridesOf(source.shape);
  return gathered(
    source,
    source.shape.map((n, d) => (d === axis ? indices.length : n)),
    (at) => at.reduce((n, i, d) => n + (d === axis ? indices[i] : i) * strides[d], 0),
  );
}

export function concatAlong(node: OnnxNode, parts: readonly Constant[], axis: number): Constant {
  const [first] = parts;
  const total = parts.reduce((n, { shape }) => n + shape[axis], 0);
  for (const { shape } of parts) {
    if (shape.length !== first.shape.length || shape.some((n, d) => d !== axis && n !== first.shape[d])) {
      throw new FormatError(`${called(node)}: its inputs have different shapes`);
    }
  }
  const outer = sizeOf(first.shape.slice(0, axis));
  const shape = first.shape.map((n, d) => (d === axis ? total : n));
  const inner = sizeOf(first.shape.slice(axis + 1));
  const floats = parts.every(({ data }) => data instanceof Float32Array);
  const data = floats ? new Float32Array(sizeOf(shape)) : new Float64Array(sizeOf(shape));
  let at = 0;
  for (let o = 0; o < outer; o++) {
    for (const part of parts) {
      const n = part.shape[axis] * inner;
      data.set(part.data.subarray(o * n, (o + 1) * n), at);
      at += n;
    }
  }
  return constant(shape, data);
}

/** The same numbers repeated along axes of size 1, or along new ones at the front. */
export function expandTo(node: OnnxNode, source: Constant, target: readonly number[]): Constant {
  const rank = Math.max(target.length, source.shape.length);
  const own = [...Array.from({ length: rank - source.shape.length }, () => 1), ...source.shape];
  const want = [...Array.from({ length: rank - target.length }, () => 1), ...target];
  const shape = own.map((n, d) => {
    if (n !== want[d] && n !== 1 && want[d] !== 1) throw new FormatError(`${called(node)}: the shapes do not fit`);
    return Math.max(n, want[d]);
  });
  const strides = stridesOf(own);
  return gathered(source, shape, (at) => at.reduce((n, i, d) => n + (own[d] === 1 ? 0 : i * strides[d]), 0));
}

/** The numbers of the steps of a slice, as ONNX and NumPy count them. */
export function sliceIndices(start: number, end: number, step: number, size: number): number[] {
  if (step === 0) return [];
  const clamp = (n: number, low: number, high: number) => Math.min(Math.max(n < 0 ? n + size : n, low), high);
  const from = step > 0 ? clamp(start, 0, size) : clamp(start, 0, size - 1);
  const to = step > 0 ? clamp(end, 0, size) : clamp(end, -1, size - 1);
  const indices: number[] = [];
  for (let i = from; step > 0 ? i < to : i > to; i += step) indices.push(i);
  return indices;
}
