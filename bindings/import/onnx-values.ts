/** What the nodes of a graph read and write, while it is lifted to a chain of layers. */
import type { Draft, NetworkDescription } from './network.js';
import type { Constant, OnnxNode } from './onnx-proto.js';

/** A size that stays together: an axis of an input, the directions or the features of a layer. */
export interface Atom {
  readonly tag: string;
  readonly size: number | undefined;
  /** Whether other inputs may have another size: an axis of an input of the graph. */
  readonly open: boolean;
}

/** An axis is a product of atoms; one of size 1 has none. */
export type Axis = readonly Atom[];

/** A size: a number times atoms. */
export interface Size {
  readonly factor: number;
  readonly atoms: Axis;
}

/** What a node reads or writes. */
export type Value =
  | Constant
  | { readonly kind: 'sizes'; readonly sizes: readonly Size[]; readonly scalar: boolean }
  /** One number everywhere, in a shape that depends on the input. */
  | { readonly kind: 'fill'; readonly value: number }
  | Active
  /** Final states of layers, one after the other along the first axis: [n][B][H]. */
  | { readonly kind: 'finals'; readonly list: readonly Final[] };

export interface Final {
  readonly stage: number;
  readonly part: 'h' | 'c';
  readonly direction: number;
}

/** Numbers that come out of a layer, or of an input of the graph. */
export interface Active {
  readonly kind: 'active';
  /** The layer; -1: an input of the graph. */
  readonly stage: number;
  /** Goes up whenever the layer gets a bias: what was before is not to be had any more. */
  readonly version: number;
  readonly part: 'output' | 'h' | 'c';
  /** Directions that are there, of a final state. */
  readonly directions: readonly number[];
  readonly axes: readonly Axis[];
  /** Of an input: its name, and which of its rows along the first axis. */
  readonly input?: {
    readonly name: string;
    readonly float: boolean;
    readonly rows?: readonly [number, number] | undefined;
  };
}

/** A layer that has been found. */
export interface Stage {
  readonly node: OnnxNode;
  draft: Draft;
  version: number;
  /** Atoms of its features, in their order. */
  readonly features: Axis;
  readonly directions: number;
  /** Whether its final states are its output; undefined: nobody has used it yet. */
  last?: boolean;
  /** The inputs of the graph that its states come from. */
  states: { h?: Active; c?: Active };
}

/** What `lift` makes of a graph. */
export interface Lifted {
  readonly description: NetworkDescription;
  readonly weights: ReadonlyMap<string, Float32Array>;
}

/** An axis of size 1. */
export const UNIT: Axis = [];
/** Whether axes are made of the same atoms. */
export const same = (a: Axis, b: Axis) => a.length === b.length && a.every(({ tag }, i) => tag === b[i].tag);

/** What an activation is unless it is told otherwise. */
export const ACTIVE = { kind: 'active', stage: -1, version: 0, part: 'output', directions: [] } as const;
