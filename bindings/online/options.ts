/** The options of a learner: their schema, and the options of layers that it refuses. */
import { Rule, Target } from '../../assembly/online/layout.js';
import * as check from '../check.js';
import { type Checked, checkRecurrent, RECURRENT_OPTIONS, type RecurrentOptions } from '../nn/recurrent/options.js';
import {
  type Options,
  oneOf,
  option,
  optional,
  pick,
  readOptions,
  real,
  required,
  type Settings,
  whole,
} from '../options.js';
import type { Bytes, WasmModule } from '../platform.js';
import { OPTIMIZER, type OptimizerOptions, type OptimizerSettings, settings } from '../train/optimizer.js';

/**
 * Cells that can learn online: each unit sees of the gates only its own, or, of `lru`, of the state only its own number. The kernels rely
 * on it, so a new cell is not here before tests/online-kernels.test.ts has it.
 */
export const ONLINE_CELLS = ['rnn', 'lstm', 'gru', 'residual', 'mingru', 'minlstm', 'lru'] as const;

/** The rules by their names. */
export const RULES = { rtrl: Rule.rtrl, snap1: Rule.snap1, immediate: Rule.immediate };

/** Losses by their names. */
export const TARGETS = {
  crossEntropy: Target.crossEntropy,
  bceWithLogits: Target.bceWithLogits,
  mse: Target.mse,
};

export type Method = keyof typeof RULES;
export type OnlineLoss = keyof typeof TARGETS;

const method = oneOf('rtrl', 'snap1', 'immediate');

const OWN = {
  /** O: outputs of the linear layer `head` that reads the last recurrent layer. */
  outputSize: required(check.whole),
  /**
   * What the outputs are compared with: `'crossEntropy'` the number of a class, `'bceWithLogits'` numbers in [0,1], `'mse'` numbers.
   * The last two are means over the outputs, as in PyTorch.
   */
  loss: required(oneOf('crossEntropy', 'bceWithLogits', 'mse')),
  /**
   * How the gradient is carried forward in time, default `'rtrl'`: exactly, by real-time recurrent learning. `'snap1'` and `'immediate'`
   * are approximations that cost about as much as the step itself: SnAp-1 (arXiv:2006.07232), and the derivatives of the current step
   * alone (arXiv:2603.28750, together with `optimizer: 'rmsprop'`).
   */
  method: option(method, 'rtrl'),
  /** Scales the gradient of a step down to this norm where it is larger; default not at all. */
  clipNorm: optional(real(0, Infinity, true)),
  /** Decides the initial weights, default 0. */
  seed: option(whole(0, Number.MAX_SAFE_INTEGER), 0),
};

/** What belongs to one process and is not kept in files. */
const PLACE = {
  /** The largest number of bytes that may be allocated, default 1073741824 (1 GiB). */
  maxBytes: option(whole(1, 2 ** 32), 1073741824),
  module: optional<unknown>((_, value) => value), // the runtime checks it
};

/** What a learner is: one or more recurrent layers and a linear layer, a loss, a rule and an optimizer. */
export interface OnlineOptions extends RecurrentOptions, OptimizerOptions, Options<typeof OWN> {}

/** Where a learner runs. */
export interface OnlinePlace extends Options<typeof PLACE> {
  /** The module (`gatewise/online.wasm`) as a `WebAssembly.Module` or its bytes, for engines that forbid compiling at run time. */
  module?: WasmModule | Bytes | undefined;
}

/** Options of layers for which one value alone is possible, and why. */
const ONLY: Readonly<Record<string, readonly [allowed: unknown, why: string]>> = {
  bidirectional: [false, 'the future is not known'],
  reverse: [false, 'the future is not known'],
  merge: [undefined, 'there is one direction'],
  initialState: ['zero', 'a stream begins once'],
  dropout: [0, 'it is random'],
  variationalDropout: [0, 'it is random'],
  zoneoutHidden: [0, 'it is random'],
  zoneoutCell: [0, 'it is random'],
  weightDrop: [0, 'it is random'],
  layerNorm: [false, 'each unit would see the gates of all others'],
  projectionSize: [0, 'each feature of the state would see the gates of all units'],
  reset: ['after', "the candidate of each unit sees the reset gates of all others; reset: 'after' is possible"],
};

/** Checked options. */
export interface OnlineSettings {
  readonly own: Settings<typeof OWN>;
  readonly layers: Checked;
  readonly optimizer: OptimizerSettings;
  /** What was given, as `config` shows it and a file keeps it. */
  readonly given: OnlineOptions;
}

const ALL = { ...RECURRENT_OPTIONS, ...OPTIMIZER, ...OWN };

/**
 * Checks options.
 *
 * @throws TypeError, RangeError for invalid options, and for those of layers that cannot learn online
 */
export function readOnline(place: string, given: OnlineOptions): OnlineSettings {
  const own = readOptions(place, OWN, given, '', ALL);
  const of = (schema: object) =>
    pick(
      given,
      (Object.keys(schema) as (keyof OnlineOptions)[]).filter((key) => given[key] !== undefined),
    );
  const layers = checkRecurrent(place, of(RECURRENT_OPTIONS) as RecurrentOptions);
  check.oneOf('cell', layers.options.cell, ONLINE_CELLS);
  for (const [key, [allowed, why]] of Object.entries(ONLY)) {
    const value = given[key as keyof OnlineOptions];
    if (value === undefined || value === allowed) continue;
    throw new RangeError(`${key}: expected ${check.show(allowed)}, got ${check.show(value)}; online, ${why}`);
  }
  if (layers.options.cell === 'lru' && own.method === 'rtrl' && layers.widths.length > 1) {
    throw new RangeError(
      `method: expected 'snap1' or 'immediate' for ${layers.widths.length} layers of cell 'lru', got 'rtrl': it carries one such layer only`,
    );
  }
  const optimizer = settings(of(OPTIMIZER) as OptimizerOptions);
  // the checked values: lists and objects among them are copies
  const checked = { ...layers.options, ...layers.own, ...optimizer, ...own } as OnlineOptions;
  const config = pick(checked, Object.keys(of(ALL)) as (keyof OnlineOptions)[]);
  return { own, layers, optimizer, given: Object.freeze(config) as OnlineOptions };
}

/** @throws TypeError, RangeError for invalid options */
export function readPlace(place: string, given: OnlinePlace): { maxBytes: number; module: OnlinePlace['module'] } {
  return readOptions(place, PLACE, given) as { maxBytes: number; module: OnlinePlace['module'] };
}

/** Reads the rule of an estimate. */
export const readMethod = method;
