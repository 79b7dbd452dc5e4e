/** Operators that move axes, work with sizes or make constants: they compute nothing of what goes through the layers. */
import { FormatError } from '../index.js';
import { sizeOf } from './files.js';
import { axisOf, constant, expandTo, sliceIndices, transposeAxes } from './onnx-constants.js';
import type { Lifter } from './onnx-lift.js';
import { called, type OnnxNode } from './onnx-proto.js';
import { fault, wholeOf } from './onnx-recurrent.js';
import { type Axis, type Size, same, UNIT, type Value } from './onnx-values.js';

const ints = (...numbers: number[]) => constant([numbers.length], Float64Array.from(numbers));

/** Sizes as a value: a constant, where they do not depend on the input. */
export function sized(sizes: readonly Size[], scalar: boolean): Value {
  if (sizes.some(({ atoms }) => atoms.length)) return { kind: 'sizes', sizes, scalar };
  return constant(
    scalar ? [] : [sizes.length],
    Float64Array.from(sizes, ({ factor }) => factor),
  );
}

/** The size of an axis: numbers for what a layer makes, atoms for what the input decides. */
function sizeOfAxis(axis: Axis): Size {
  const known = axis.filter(({ open }) => !open);
  return {
    factor: known.reduce((n, { size }) => n * (size ?? Number.NaN), 1),
    atoms: axis.filter(({ open }) => open),
  };
}

/** Whether atoms make up a size. */
function fits(atoms: Axis, { factor, atoms: wanted }: Size): boolean {
  const product = (list: Axis) => list.reduce((n, { size }) => n * (size ?? Number.NaN), 1);
  if (wanted.length === 0) return product(atoms) === factor;
  const { factor: own, atoms: open } = sizeOfAxis(atoms);
  return own === factor && same(open, wanted);
}

/** Axes of these sizes out of the same atoms in the same order; undefined where that does not work. */
function regrouped(axes: readonly Axis[], targets: readonly Size[]): Axis[] | undefined {
  const atoms = axes.flat();
  const match = (i: number, from: number): Axis[] | undefined => {
    if (i === targets.length) return from === atoms.length ? [] : undefined;
    const target = targets[i];
    const copy = target.atoms.length === 0 && target.factor === 0;
    const free = target.atoms.length === 0 && target.factor === -1;
    // an axis that the input decides stays apart if it can, also where it has size 1
    const candidates: Axis[] = [];
    for (let to = from; to <= atoms.length; to++) {
      const taken = atoms.slice(from, to);
      if (!free && !(copy ? same(taken, axes[i] ?? UNIT) : fits(taken, target))) continue;
      const apart = taken.length === 1 || taken.every(({ open }) => !open);
      if (apart && taken.length) candidates.unshift(taken);
      else candidates.push(taken);
    }
    for (const taken of candidates) {
      const rest = match(i + 1, from + taken.length);
      if (rest) return [taken, ...rest];
    }
    return undefined;
  };
  return match(0, 0);
}

export function reshape(lifter: Lifter, node: OnnxNode): Value[] {
  const value = lifter.value(node, 0);
  if (value.kind === 'fill') return [value];
  const attribute = node.attributes.get('shape');
  const targets = Array.isArray(attribute)
    ? attribute.map((n: unknown): Size => ({ factor: Number(n), atoms: UNIT }))
    : lifter.sizes(lifter.value(node, 1));
  if (!targets) return fault(node, 'its shape is not known');
  if (value.kind === 'active') {
    const axes = regrouped(value.axes, targets);
    return [axes ? { ...value, axes } : fault(node, 'its shape does not keep the axes of the layer apart')];
  }
  if (value.kind === 'sizes') return [{ ...value, scalar: targets.length === 0 }];
  if (value.kind !== 'const' || targets.some(({ atoms }) => atoms.length)) return fault(node, 'its shape is not known');
  const shape = targets.map(({ factor }, d) => (factor === 0 ? value.shape[d] : factor));
  const known = shape.reduce((n, d) => (d < 0 ? n : n * d), 1);
  const full = shape.map((d) => (d < 0 ? value.data.length / known : d));
  if (sizeOf(full) !== value.data.length) throw new FormatError(`${called(node)}: the shape does not fit its input`);
  return [constant(full, value.data)];
}

export function transpose(lifter: Lifter, node: OnnxNode): Value[] {
  const value = lifter.value(node, 0);
  const rank = value.kind === 'const' ? value.shape.length : value.kind === 'active' ? value.axes.length : 0;
  if (value.kind === 'fill') return [value];
  const perm = lifter.numbers(node, 'perm', 9) ?? Array.from({ length: rank }, (_, d) => rank - 1 - d);
  if ([...perm].sort((a, b) => a - b).some((p, d) => p !== d) || perm.length !== rank) {
    throw new FormatError(`${called(node)}: perm [${perm}] does not fit ${rank} axes`);
  }
  if (value.kind === 'const') return [transposeAxes(value, perm)];
  if (value.kind === 'active') return [{ ...value, axes: perm.map((p) => value.axes[p]) }];
  return fault(node, 'its input cannot be transposed');
}

export function squeeze(lifter: Lifter, node: OnnxNode): Value[] {
  const value = lifter.value(node, 0);
  const given = lifter.numbers(node, 'axes', 1);
  if (value.kind === 'fill') return [value];
  if (value.kind === 'sizes') return [{ ...value, scalar: true }];
  const sizes =
    value.kind === 'const' ? value.shape : value.kind === 'active' ? value.axes.map((a) => a.length || 1) : [];
  const unit = (d: number) => (value.kind === 'active' ? value.axes[d].length === 0 : sizes[d] === 1);
  const axes = given?.map((a) => axisOf(node, a, sizes.length)) ?? sizes.flatMap((_, d) => (unit(d) ? [d] : []));
  for (const axis of axes) if (!unit(axis)) fault(node, `axis ${axis} is not of size 1 for every input`);
  const rest = <T>(list: readonly T[]) => list.filter((_, d) => !axes.includes(d));
  if (value.kind === 'const') return [constant(rest(value.shape), value.data)];
  return [value.kind === 'active' ? { ...value, axes: rest(value.axes) } : fault(node, 'its input cannot be squeezed')];
}

export function unsqueeze(lifter: Lifter, node: OnnxNode): Value[] {
  const value = lifter.value(node, 0);
  const axes = lifter.numbers(node, 'axes', 1) ?? fault(node, 'has no axes');
  if (value.kind === 'fill') return [value];
  if (value.kind === 'sizes' && value.scalar) return [{ ...value, scalar: false }];
  const insert = <T>(list: readonly T[], one: T): T[] => {
    const rank = list.length + axes.length;
    const places = axes.map((a) => axisOf(node, a, rank));
    const rest = [...list];
    return Array.from({ length: rank }, (_, d) => (places.includes(d) ? one : (rest.shift() ?? one)));
  };
  if (value.kind === 'const') return [constant(insert(value.shape, 1), value.data)];
  return [
    value.kind === 'active' ? { ...value, axes: insert(value.axes, UNIT) } : fault(node, 'its input cannot get axes'),
  ];
}

export function expand(lifter: Lifter, node: OnnxNode): Value[] {
  const value = lifter.value(node, 0);
  const sizes = lifter.sizes(lifter.value(node, 1)) ?? fault(node, 'its shape is not known');
  if (value.kind === 'fill') return [value];
  if (value.kind !== 'const') return fault(node, 'its input is not a constant');
  const [first] = value.data;
  const uniform = value.data.every((v) => v === first);
  if (sizes.every(({ atoms }) => atoms.length === 0)) {
    return [
      expandTo(
        node,
        value,
        sizes.map(({ factor }) => factor),
      ),
    ];
  }
  if (uniform) return [{ kind: 'fill', value: first }];
  // the same for all sequences: axes whose size the input decides stay as they are
  return [
    expandTo(
      node,
      value,
      sizes.map(({ factor, atoms }) => (atoms.length ? 1 : factor)),
    ),
  ];
}

export function constantOfShape(lifter: Lifter, node: OnnxNode): Value[] {
  const sizes = lifter.sizes(lifter.value(node, 0)) ?? fault(node, 'its shape is not known');
  const given = node.attributes.get('value');
  const source = typeof given === 'object' && 'kind' in given ? given : constant([1], new Float32Array(1));
  if (sizes.some(({ atoms }) => atoms.length)) return [{ kind: 'fill', value: source.data[0] }];
  const shape = sizes.map(({ factor }) => factor);
  return [expandTo(node, constant(shape.length ? source.shape : [], source.data), shape)];
}

export function constantNode(_: Lifter, node: OnnxNode): Value[] {
  for (const [name, value] of node.attributes) {
    if (typeof value === 'object' && 'kind' in value) return [value];
    if (name === 'value_int' && typeof value === 'number') return [constant([], Float64Array.of(value))];
    if (name === 'value_float' && typeof value === 'number') return [constant([], Float32Array.of(value))];
    if (name === 'value_ints' && Array.isArray(value)) return [ints(...value.map(Number))];
    if (name === 'value_floats' && Array.isArray(value)) {
      return [constant([value.length], Float32Array.from(value, Number))];
    }
  }
  return fault(node, 'its value is not a number or a tensor');
}

export function cast(lifter: Lifter, node: OnnxNode): Value[] {
  const value = lifter.value(node, 0);
  const to = wholeOf(node, 'to', 1);
  const float = to === 1 || to === 10 || to === 11 || to === 16;
  if (value.kind === 'const') {
    return [constant(value.shape, float ? Float32Array.from(value.data) : Float64Array.from(value.data, Math.trunc))];
  }
  // tokens that a graph declares as floats: the embedding checks them
  if (value.kind === 'active' && value.input && !float) return [{ ...value, input: { ...value.input, float } }];
  const isFloat =
    value.kind === 'active' ? (value.input?.float ?? true) : value.kind === 'fill' || value.kind === 'finals';
  if (value.kind !== 'fill' && isFloat !== float)
    return fault(node, 'turns floats into whole numbers or the other way');
  return [value];
}

export function shapeOf(lifter: Lifter, node: OnnxNode): Value[] {
  const value = lifter.value(node, 0);
  if (value.kind !== 'const' && value.kind !== 'active') return fault(node, 'the shape of its input is not known');
  const sizes =
    value.kind === 'active' ? value.axes.map(sizeOfAxis) : value.shape.map((factor) => ({ factor, atoms: UNIT }));
  const indices = sliceIndices(wholeOf(node, 'start', 0), wholeOf(node, 'end', sizes.length), 1, sizes.length);
  return [
    sized(
      indices.map((d) => sizes[d]),
      false,
    ),
  ];
}

export function multiply(lifter: Lifter, node: OnnxNode): Value[] {
  const [a, b] = [0, 1].map((i) => lifter.sizes(lifter.value(node, i)));
  if (a?.length !== 1 || b?.length !== 1) return fault(node, 'a product is supported for sizes only');
  return [sized([{ factor: a[0].factor * b[0].factor, atoms: [...a[0].atoms, ...b[0].atoms] }], true)];
}

export function flatten(lifter: Lifter, node: OnnxNode): Value[] {
  const value = lifter.value(node, 0);
  if (value.kind !== 'active') return fault(node, 'its input is not the output of a layer');
  const axis = wholeOf(node, 'axis', 1);
  const at = axis === value.axes.length ? axis : axisOf(node, axis, value.axes.length);
  return [{ ...value, axes: [value.axes.slice(0, at).flat(), value.axes.slice(at).flat()] }];
}
