/**
 * A graph of ONNX as a chain of layers. Constants are folded; what exporters compute around layers (shapes, zero states, axes that
 * move) is followed on paper: each value is a constant, sizes that depend on the input, or an activation whose axes are known. What
 * does not fit is an error with the node's name. Nothing is executed.
 */
import { FormatError, UnsupportedError } from '../index.js';
import { type Tensor, transposed } from './files.js';
import { type Draft, inputSizeOf, takeOutput } from './network.js';
import { type Constant, called, type OnnxGraph, type OnnxNode } from './onnx-proto.js';
import { fault, INPUTS, OPERATORS, recurrentParts } from './onnx-recurrent.js';
import {
  ACTIVE,
  type Active,
  type Axis,
  type Final,
  type Lifted,
  type Size,
  type Stage,
  same,
  UNIT,
  type Value,
} from './onnx-values.js';

/** What a node becomes: a value for each output. */
export type Operator = (lifter: Lifter, node: OnnxNode) => (Value | undefined)[];

export class Lifter {
  readonly #graph: OnnxGraph;
  readonly #values = new Map<string, Value>();
  readonly #stages: Stage[] = [];
  readonly #weights = new Map<string, Float32Array>();
  /** The input that the chain begins with, and the atoms of time and batch. */
  #main: Active | undefined;
  #time: Axis = UNIT;
  #batch: Axis = UNIT;
  #lengths: string | undefined;

  constructor(
    graph: OnnxGraph,
    readonly operators: Readonly<Record<string, Operator>>,
  ) {
    this.#graph = graph;
    for (const [name, value] of graph.constants) this.#values.set(name, value);
    for (const { name, float, shape } of graph.inputs) {
      const axes = shape.map((size, d): Axis => [{ tag: `${name}.${d}`, size, open: true }]);
      this.#values.set(name, { ...ACTIVE, axes, input: { name, float } });
    }
  }

  get opset(): number {
    return this.#graph.opset;
  }

  lift(): Lifted {
    for (const node of this.#graph.nodes) {
      const results = this.#evaluate(node);
      node.outputs.forEach((name, i) => {
        const value = results[i];
        if (name && value) this.#values.set(name, value);
        else if (name) fault(node, `its output number ${i} is not supported`);
      });
    }
    return this.#finish();
  }

  #evaluate(node: OnnxNode): (Value | undefined)[] {
    const { op } = node;
    if (OPERATORS.includes(op)) return this.#recurrent(node);
    if (!Object.hasOwn(this.operators, op)) fault(node, 'the operator does not fit a chain of layers');
    return this.operators[op](this, node);
  }

  // --- values ---

  /** Input number i of a node, if it has one. */
  optional(node: OnnxNode, i: number): Value | undefined {
    const name = node.inputs[i];
    if (!name) return undefined;
    const value = this.#values.get(name);
    if (!value) throw new FormatError(`${called(node)}: its input '${name}' is not defined`);
    return value;
  }

  value(node: OnnxNode, i: number): Value {
    return this.optional(node, i) ?? fault(node, `has no input number ${i}`);
  }

  constant(node: OnnxNode, i: number): Constant {
    const value = this.value(node, i);
    return value.kind === 'const' ? value : fault(node, `its input '${node.inputs[i]}' is not a constant`);
  }

  /** Whole numbers from an attribute, or from a constant input of newer versions. */
  numbers(node: OnnxNode, attribute: string, i: number): number[] | undefined {
    const value = node.attributes.get(attribute);
    if (Array.isArray(value)) return value.map(Number);
    if (typeof value === 'number') return [value];
    return node.inputs[i] ? [...this.constant(node, i).data] : undefined;
  }

  /** Sizes that a value stands for. */
  sizes(value: Value): readonly Size[] | undefined {
    if (value.kind === 'sizes') return value.sizes;
    if (value.kind === 'const' && value.shape.length < 2 && value.data instanceof Float64Array) {
      return Array.from(value.data, (factor) => ({ factor, atoms: UNIT }));
    }
    return undefined;
  }

  // --- layers ---

  /** That a value is what came last in the chain, and how it is used. */
  #use(node: OnnxNode, value: Value): Active {
    if (value.kind !== 'active') fault(node, 'expected the output of a layer as its input');
    const stage = this.#stages[value.stage];
    if (!stage) {
      if (this.#main && this.#main.input?.name !== value.input?.name) {
        fault(node, `reads input '${value.input?.name}', the chain begins with '${this.#main.input?.name}'`);
      }
      if (value.input?.rows || this.#stages.length)
        fault(node, `reads input '${value.input?.name}' in the middle of the chain`);
      // as the graph declares it, before its axes moved
      const declared = this.#values.get(value.input?.name ?? '');
      this.#main = declared?.kind === 'active' ? declared : value;
      return value;
    }
    if (value.stage !== this.#stages.length - 1 || value.version !== stage.version) {
      fault(node, `reads ${called(stage.node)}, which is not the one before it; a chain of layers is supported`);
    }
    if (stage.draft.kind === 'recurrent') {
      const last = value.part !== 'output';
      if (value.part === 'c') fault(node, `reads the state c of ${called(stage.node)}`);
      if (stage.last !== undefined && stage.last !== last) {
        fault(node, `reads outputs and final states of ${called(stage.node)}; a chain of layers is supported`);
      }
      if (value.directions.length !== stage.directions) {
        fault(node, `reads one of the directions of ${called(stage.node)} only`);
      }
      stage.last = last;
    }
    return value;
  }

  #push(node: OnnxNode, draft: Draft, features: Axis, directions = 1): Stage {
    const stage: Stage = { node, draft, version: 0, features, directions, states: {} };
    this.#stages.push(stage);
    return stage;
  }

  /** A function of each number: the axes stay as they are. */
  elementwise(node: OnnxNode, value: Value, draft: Draft): Value {
    const active = this.#use(node, value);
    if (active.stage < 0) fault(node, 'a layer with weights has to come first');
    if (draft.kind !== 'activation') this.#checkFeatures(node, active);
    const features = this.#stages[active.stage].features;
    this.#push(node, draft, features);
    return { ...ACTIVE, axes: active.axes, stage: this.#stages.length - 1 };
  }

  /** A function of the features, which have to be the last axis. */
  rowwise(node: OnnxNode, value: Value, make: (inputSize: number) => { draft: Draft; outputSize: number }): Value {
    const active = this.#use(node, value);
    const last = this.#checkFeatures(node, active);
    const size = last.reduce((n, atom) => n * (atom.size ?? Number.NaN), 1);
    const { draft, outputSize } = make(size);
    const features: Axis = [{ tag: `features of ${node.name}`, size: outputSize, open: false }];
    this.#push(node, draft, features);
    return { ...ACTIVE, stage: this.#stages.length - 1, axes: [...active.axes.slice(0, -1), features] };
  }

  /** That the last axis is that of the features, all of them in their order. */
  #checkFeatures(node: OnnxNode, { stage, axes, input }: Active): Axis {
    const last = axes[axes.length - 1] ?? UNIT;
    if (stage >= 0 && !same(this.#stages[stage].features, last)) {
      fault(node, 'expected the features of the layer before it as the last axis');
    }
    if (stage < 0 && input?.float !== true) fault(node, 'expected features, its input is tokens');
    return last;
  }

  weight(node: OnnxNode, name: string, values: Float32Array): void {
    this.#weights.set(`${node.name}.${name}`, values);
  }

  embedding(node: OnnxNode, table: Constant, value: Active): Value {
    const [V, E] = table.shape;
    const active = this.#use(node, value);
    if (active.stage >= 0 || active.input?.float !== false || active.axes.length !== 2) {
      fault(node, 'expected tokens [T,B] or [B,T], an input of the graph, for an embedding');
    }
    this.weight(node, 'weight', Float32Array.from(table.data));
    const features: Axis = [{ tag: `features of ${node.name}`, size: E, open: false }];
    this.#push(node, { kind: 'embedding', name: node.name, vocabularySize: V, embeddingSize: E }, features);
    return { ...ACTIVE, stage: 0, axes: [...active.axes, features] };
  }

  linear(node: OnnxNode, value: Value, weights: Tensor, bias?: Float32Array): Value {
    const [I, O] = weights.shape;
    return this.rowwise(node, value, (inputSize) => {
      // NaN: the graph does not say
      if (inputSize !== I && !Number.isNaN(inputSize))
        fault(node, `expected ${I} features, the layer before it gives ${inputSize}`);
      this.weight(node, 'weight', transposed(weights));
      if (bias) this.weight(node, 'bias', bias);
      const draft = { kind: 'linear', name: node.name, inputSize: I, outputSize: O, bias: bias !== undefined } as const;
      return { draft, outputSize: O };
    });
  }

  /** x + constant: the bias of a linear layer. */
  bias(node: OnnxNode, value: Value, added: Constant): Value {
    const active = this.#use(node, value);
    const stage = this.#stages[active.stage];
    const draft = stage?.draft;
    if (draft?.kind !== 'linear' || draft.bias || added.shape[added.shape.length - 1] !== added.data.length) {
      return fault(node, 'a constant can be added as the bias of a linear layer only');
    }
    this.#checkFeatures(node, active);
    if (added.data.length !== draft.outputSize) {
      fault(node, `expected a bias of ${draft.outputSize} numbers, got ${added.data.length}`);
    }
    this.weight(stage.node, 'bias', Float32Array.from(added.data));
    stage.draft = { ...draft, bias: true };
    stage.version++;
    return { ...active, version: stage.version };
  }

  /** What is left of a sequence when its axis of time goes. */
  pool(node: OnnxNode, value: Value, axis: number, pool: 'mean' | 'max' | 'last', keep: boolean): Value {
    const active = this.#use(node, value);
    if (active.stage < 0 || !this.#time.length || !same(active.axes[axis] ?? UNIT, this.#time)) {
      fault(node, 'is supported along the axis of time of a layer only');
    }
    this.#push(node, { kind: 'pool', name: node.name, pool }, this.#stages[active.stage].features);
    const axes = active.axes.flatMap((a, d) => (d !== axis ? [a] : keep ? [UNIT] : []));
    return { ...ACTIVE, stage: this.#stages.length - 1, axes };
  }

  isTime(axis: Axis | undefined): boolean {
    return axis !== undefined && this.#time.length > 0 && same(axis, this.#time);
  }

  /** Whether an axis is that of both directions of a recurrent layer. */
  isDirection(value: Active, axis: number): boolean {
    const stage = this.#stages[value.stage];
    return value.directions.length === 2 && stage !== undefined && same(value.axes[axis], stage.features.slice(0, 1));
  }

  /** One of both directions: the axis keeps its place with size 1. */
  oneDirection(value: Active, axis: number, direction: number): Active {
    return { ...value, directions: [direction], axes: value.axes.map((a, d) => (d === axis ? UNIT : a)) };
  }

  /** The two directions of a layer side by side along the axis of features, if that is what values are. */
  bothDirections(a: Active, b: Active, axis: number): Active | undefined {
    const stage = this.#stages[a.stage];
    const alike =
      a.stage === b.stage && a.version === b.version && a.part === b.part && a.axes.length === b.axes.length;
    const directions = [...a.directions, ...b.directions];
    if (!stage || !alike || stage.directions !== 2 || directions.join() !== '0,1') return undefined;
    const [d, f] = stage.features;
    const fits = a.axes.every((own, i) => same(own, b.axes[i])) && same(a.axes[axis], [f]);
    return fits ? { ...a, directions, axes: a.axes.map((own, i) => (i === axis ? [d, f] : own)) } : undefined;
  }

  /** How many directions a layer has. */
  directionsOf({ stage }: { stage: number }): number {
    return this.#stages[stage]?.directions ?? 0;
  }

  /** Final states as they come out of one layer, if they are all of them. */
  finals(list: readonly Final[]): Value {
    const [{ stage, part } = { stage: -1, part: 'h' as const }] = list;
    const D = this.directionsOf({ stage });
    const whole = list.length === D && list.every((f, d) => f.stage === stage && f.part === part && f.direction === d);
    return whole ? this.#states(stage, part) : { kind: 'finals', list };
  }

  /** The final states of a layer: [D][B][H]. */
  #states(stage: number, part: 'h' | 'c'): Active {
    const { directions: D, features, version } = this.#stages[stage];
    const axes = [D === 2 ? [features[0]] : UNIT, this.#batch, [features[features.length - 1]]];
    return { ...ACTIVE, stage, version, part, directions: Array.from({ length: D }, (_, d) => d), axes };
  }

  /** One direction of the final states of a layer: [B][H]. */
  single({ stage, part, direction }: Final): Active {
    const all = this.#states(stage, part);
    return { ...all, directions: [direction], axes: all.axes.slice(1) };
  }

  // --- recurrent nodes ---

  #recurrent(node: OnnxNode): Value[] {
    const known = (name: string) => {
      const value = this.#values.get(name);
      return value?.kind === 'const' ? value : undefined;
    };
    const { options, weights, directions: D, layout } = recurrentParts(node, known);
    const x = this.#use(node, this.value(node, INPUTS.X));
    const [I, H] = [options.inputSize, Number(options.hiddenSize)];
    if (x.axes.length !== 3) fault(node, `X has ${x.axes.length} axes, expected 3`);
    const [time, batch] = layout ? [x.axes[1], x.axes[0]] : x.axes;
    if (this.#time.length === 0) {
      const axes = this.#main?.axes ?? [];
      const found = [time, batch].every((axis) => axis.length === 1 && axes.slice(0, 2).some((a) => same(a, axis)));
      if (!found) fault(node, 'the first two axes of X are not those of the input');
      this.#time = time;
      this.#batch = batch;
    } else if (!same(time, this.#time) || !same(batch, this.#batch)) {
      fault(node, 'X has other axes of time and batch than the nodes before it');
    }
    const size = this.#checkFeatures(node, x).reduce((n, atom) => n * (atom.size ?? I), 1);
    if (size !== I) fault(node, `X has ${size} features, W is for ${I}`);

    const features: Axis = [
      ...(D === 2 ? [{ tag: `directions of ${node.name}`, size: D, open: false }] : []),
      { tag: `features of ${node.name}`, size: H, open: false },
    ];
    const draft = { kind: 'recurrent', name: node.name, options, output: 'sequence' } as const;
    const index = this.#stages.length;
    const stage = this.#push(node, draft, features, D);
    for (const [name, values] of weights) this.weight(node, name, values);
    const lens = node.inputs[INPUTS.sequence_lens];
    if (lens) this.#sequenceLengths(node, lens);
    this.#initial(node, stage, D, H);
    const direction = features.slice(0, -1);
    const [f] = features.slice(-1);
    const axes = layout ? [batch, time, direction, [f]] : [time, direction, batch, [f]];
    const states = (part: 'h' | 'c'): Active => {
      const all = this.#states(index, part);
      const [d, b, h] = all.axes;
      return layout ? { ...all, axes: [b, d, h] } : all;
    };
    const directions = Array.from({ length: D }, (_, d) => d);
    const output: Active = { ...ACTIVE, stage: index, directions, axes };
    return [output, states('h'), ...(options.cell === 'lstm' ? [states('c')] : [])];
  }

  #sequenceLengths(node: OnnxNode, name: string): void {
    const value = this.#values.get(name);
    if (value?.kind !== 'active' || !value.input || (this.#lengths !== undefined && this.#lengths !== name)) {
      fault(node, `sequence_lens ('${name}') has to be an input of the graph, the same for all nodes`);
    }
    this.#lengths = name;
  }

  /** Initial states: zeros, numbers that are the same for all sequences and so are learned, or an input. */
  #initial(node: OnnxNode, stage: Stage, D: number, H: number): void {
    const learned = new Map<string, Float32Array>();
    const suffixes = stage.draft.kind === 'recurrent' && stage.draft.options.reverse ? ['_reverse'] : ['', '_reverse'];
    for (const [part, place] of [
      ['h', INPUTS.initial_h],
      ['c', INPUTS.initial_c],
    ] as const) {
      const value = this.optional(node, place);
      if (!value || (value.kind === 'fill' && value.value === 0)) continue;
      if (value.kind === 'active' && value.stage < 0) {
        if (value.input?.name === this.#main?.input?.name)
          fault(node, `initial_${part} is made of the input of the chain`);
        stage.states[part] = value;
        continue;
      }
      const rows = value.kind === 'const' && value.shape.length === 3 && value.shape[2] === H ? value : undefined;
      if (!rows) fault(node, `initial_${part} is neither constant nor an input of the graph`);
      if (rows.data.every((v) => v === 0)) continue;
      const [, B] = rows.shape;
      for (let d = 0; d < D; d++) {
        const at = (b: number) => Float32Array.from(rows.data.subarray((d * B + b) * H, (d * B + b + 1) * H));
        for (let b = 1; b < B; b++) {
          if (at(b).join() !== at(0).join()) fault(node, `initial_${part} differs from sequence to sequence`);
        }
        learned.set(`${part}0_l0${suffixes[d]}`, at(0));
      }
    }
    if (learned.size === 0 || stage.draft.kind !== 'recurrent') return;
    if (stage.states.h || stage.states.c) fault(node, 'one initial state is constant, the other an input');
    const { options } = stage.draft;
    stage.draft = { ...stage.draft, options: { ...options, initialState: 'learned' } };
    for (let d = 0; d < D; d++) {
      for (const part of options.cell === 'lstm' ? ['h', 'c'] : ['h']) {
        const name = `${part}0_l0${suffixes[d]}`;
        this.weight(node, name, learned.get(name) ?? new Float32Array(H));
      }
    }
  }

  // --- the end ---

  #finish(): Lifted {
    if (!this.#main || this.#time.length === 0)
      throw new UnsupportedError('the graph has no recurrent node that reads its input');
    const end = this.#stages.length - 1;
    const stage = this.#stages[end];
    const values = this.#graph.outputs.map(({ name }) => ({ name, value: this.#values.get(name) }));
    const isMain = (value: Value | undefined) =>
      value?.kind === 'active' && value.stage === end && value.version === stage.version && value.part === 'output';
    // a recurrent node at the end may give its final state instead
    const main = values.find(({ value }) => isMain(value)) ?? values[0];
    if (!main?.value) throw new FormatError(`output '${main?.name}': no node computes it`);
    const output = this.#use({ ...stage.node, name: main.name, op: 'output' }, main.value);
    const pooled = output.part !== 'output' || this.#stages.some(({ draft, last }) => draft.kind === 'pool' || last);
    const axes = output.axes.filter((axis) => axis.length > 0);
    const rest = axes.slice(0, -1);
    const orders: readonly (readonly Axis[])[] = pooled
      ? [[this.#batch]]
      : [
          [this.#time, this.#batch],
          [this.#batch, this.#time],
        ];
    const order = orders.findIndex((o) => o.length === rest.length && o.every((axis, i) => same(axis, rest[i])));
    if (order < 0 || !same(axes[axes.length - 1] ?? UNIT, stage.features)) {
      throw new UnsupportedError(
        `output '${main.name}': its axes are not time, batch and the features of the last layer`,
      );
    }
    for (const { name, value } of values) if (name !== main.name) this.#checkState(name, value);
    this.#checkStates();
    const drafts = this.#stages.map(
      ({ draft, last }): Draft =>
        draft.kind === 'recurrent' ? { ...draft, output: last ? 'last' : 'sequence' } : draft,
    );
    const { chain, output: function_ } = takeOutput(drafts);
    const batchFirst = same(this.#main.axes[0], this.#batch);
    const tokens = chain[0]?.kind === 'embedding';
    return {
      weights: this.#weights,
      description: {
        batchFirst,
        ...(!pooled && (order === 1) !== batchFirst ? { outputBatchFirst: order === 1 } : {}),
        inputSize: tokens ? 0 : inputSizeOf(chain),
        mask: null,
        layers: chain,
        output: function_,
      },
    };
  }

  /** Other outputs can be final states, which `State` holds. */
  #checkState(name: string, value: Value | undefined): void {
    const isState =
      value?.kind === 'finals' || (value?.kind === 'active' && value.stage >= 0 && value.part !== 'output');
    if (!isState) throw new UnsupportedError(`output '${name}': a chain of layers has one output, and final states`);
  }

  /** That states from inputs are in the order of the layers: then they are those of the network. */
  #checkStates(): void {
    for (const part of ['h', 'c'] as const) {
      let at = 0;
      let name: string | undefined;
      for (const { node, states, directions: D } of this.#stages) {
        const input = states[part]?.input;
        if (!input) continue;
        const [from, to] = input.rows ?? [0, D];
        if (name !== undefined && input.name === name && from !== at) {
          fault(
            node,
            `its initial_${part} are rows ${from} to ${to} of input '${name}', expected them to begin at ${at}`,
          );
        }
        name = input.name;
        at = to;
      }
    }
  }
}
