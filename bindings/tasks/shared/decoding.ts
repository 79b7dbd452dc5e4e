/** What decoders share: where they start, what they read and have to predict, and how they write token by token. */

import type { Builder } from '../../nn/builder.js';
import { input, read } from '../../nn/input.js';
import { Linear } from '../../nn/linear.js';
import type { Model } from '../../nn/model.js';
import { sampleRows } from '../../nn/predict.js';
import type { Recurrent } from '../../nn/recurrent/recurrent.js';
import { State, type StateRows } from '../../nn/recurrent/state.js';
import { activation } from '../../nn/rows.js';
import { type Options, option, optional, readOptions, real, type Settings, whole } from '../../options.js';
import { Random } from '../../random.js';
import type { Rows, Tape } from '../../tape.js';
import type { Vocabulary } from '../../text/vocabulary.js';
import { BATCHES } from './batches.js';
import type { Ends, Found } from './beam.js';

/** Options of evaluating what decoders write. */
export const EVALUATE = {
  ...BATCHES,
  /** Tokens or frames at most, default 100: a decoder need not come to an end. */
  maxLength: option(whole(1), 100),
};

export interface EvaluateWritingOptions extends Options<typeof EVALUATE> {}

const BEAM = {
  /** Hypotheses that are followed at the same time, default 1: greedy decoding. */
  beamWidth: option(whole(1), 1),
  /** α: hypotheses are compared by their log-probability over lengthᵅ, default 1. Needs a `beamWidth` above 1. */
  lengthNormalization: optional(real(0)),
};

const WRITE = { ...EVALUATE, ...BEAM };

/** @typeParam W the width of the beam */
export interface WriteOptions<W extends number = number>
  extends EvaluateWritingOptions,
    Omit<Options<typeof BEAM>, 'beamWidth'> {
  /** Hypotheses that are followed at the same time, default 1: greedy decoding. */
  beamWidth?: W | undefined;
}

/** @throws TypeError, RangeError */
export function readWriting(options: WriteOptions): Settings<typeof WRITE> {
  const settings = readOptions('predict', WRITE, options);
  if (settings.beamWidth === 1 && settings.lengthNormalization !== undefined)
    throw new RangeError('lengthNormalization: needs a beamWidth above 1');
  return settings;
}

const SAMPLING = {
  /** Logits are divided by it; 0 is greedy. Default 1. */
  temperature: option(real(0), 1),
  /** Samples from the k most probable tokens; 0: from all. Default 0. */
  topK: option(whole(0), 0),
  /** Draws among the fewest tokens that together have at least this probability, default 1. */
  topP: option(real(0, 1, true), 1),
  /** Draws from a random stream of its own. Default: from the model's. */
  seed: optional(whole(0, Number.MAX_SAFE_INTEGER)),
};

// the numbers that are drawn depend on the order of the batches
const { workers: _, ...DRAWING } = EVALUATE;
const GENERATE = { ...DRAWING, ...SAMPLING };

/** Options of drawing sequences. */
export interface GenerateSequenceOptions extends Options<typeof GENERATE> {}

/** The options, the random numbers that they ask for, and what draws a class for each row of logits. */
export function readGenerating(options: GenerateSequenceOptions, model: Model<unknown>) {
  const settings = readOptions('generate', GENERATE, options);
  const { temperature, topK, topP, seed } = settings;
  const random = seed === undefined ? model.random : new Random(seed);
  const pick = (tape: Tape, logits: Rows) => sampleRows(tape, random, logits, { temperature, topK, topP });
  return { settings, random, pick };
}

/** A sequence that was written. */
export interface Writing {
  /** The tokens joined: with spaces, unless all tokens of the vocabulary are characters. */
  readonly text: string;
  readonly tokens: readonly string[];
  /** Whether it came to its end before `maxLength`. */
  readonly complete: boolean;
}

export interface Hypothesis extends Writing {
  /** Sum of the tokens' log-probabilities, the end's included, in nats. */
  readonly logProbability: number;
}

/** The best hypothesis of a beam, and all of them. */
export interface BeamWriting extends Hypothesis {
  /** Best first, at most `beamWidth`. */
  readonly hypotheses: readonly Hypothesis[];
}

/** What is written with a beam of width W; `Extra` is there without one. */
export type Written<W extends number, Extra = object> = number extends W
  ? Writing & Partial<Omit<BeamWriting, keyof Writing>> & Partial<Extra>
  : W extends 1
    ? Writing & Extra
    : BeamWriting;

export function writing(vocabulary: Vocabulary, { ids, complete }: Pick<Found, 'ids' | 'complete'>): Writing {
  return { text: vocabulary.decode(ids), tokens: ids.map((id) => vocabulary.tokens[id]), complete };
}

export function beamWriting(vocabulary: Vocabulary, found: readonly Found[]): BeamWriting {
  const hypotheses = found.map((own) => ({ ...writing(vocabulary, own), logProbability: own.logProbability }));
  return { ...hypotheses[0], hypotheses };
}

/**
 * c → the initial state of a stack. Each layer and state has an affine map of its own, `'tanh'` with a tanh after it; with `'none'` c itself
 * is h of each layer, and cell states start from zeros.
 */
export class Bridge {
  readonly #h: readonly Linear[];
  readonly #c: readonly Linear[];

  /** @param name prefix of the parameters: `h0.weight`, `h0.bias`, `c0.weight` … */
  constructor(
    b: Builder,
    name: string,
    inputSize: number,
    readonly sizes: Recurrent['stateSizes'],
    readonly kind: 'none' | 'affine' | 'tanh' = 'tanh',
  ) {
    const make = (state: string) => (outputSize: number, l: number) =>
      new Linear(b, `${name}.${state}${l}`, { inputSize, outputSize });
    this.#h = kind === 'none' ? [] : sizes.h.map(make('h'));
    this.#c = kind === 'none' ? [] : sizes.c.map(make('c'));
  }

  /** [1,B,I] */
  forward(tape: Tape, context: Rows): StateRows {
    const { B } = context;
    if (this.kind === 'none') {
      const zeros = (F: number) => input(tape, new Float32Array(B * F), { T: 1, B, F });
      return { h: this.sizes.h.map(() => context), c: this.sizes.c.map(zeros) };
    }
    const make = (affine: Linear) => {
      const y = affine.forward(tape, context);
      return this.kind === 'tanh' ? activation(tape, y, 'tanh') : y;
    };
    return { h: this.#h.map(make), c: this.#c.map(make) };
  }
}

/** A decoder's initial state as plain numbers, to be moved step by step. */
export function startState(tape: Tape, decoder: Recurrent, state: StateRows | undefined, B: number): State {
  if (!state) return decoder.state(B);
  const numbers = (list: readonly Rows[]) => list.map((rows) => read(tape, rows));
  return new State(B, numbers(state.h), numbers(state.c));
}

/** Rows of one sequence, [T,1,F], B times: [T,B,F]. */
export function copies(tape: Tape, rows: Rows, B: number): Rows {
  const { T, F } = rows;
  const one = read(tape, rows);
  const all = new Float32Array(T * B * F);
  for (let t = 0; t < T; t++) for (let b = 0; b < B; b++) all.set(one.subarray(t * F, (t + 1) * F), (t * B + b) * F);
  return input(tape, all, { T, B, F });
}

/** Targets [T,B] shifted: the tokens that are read, and the classes that follow each; -1 past the end. */
export function shifted({ start, end }: Ends, targets: readonly Int32Array[]) {
  const B = targets.length;
  const lengths = targets.map((target) => target.length + 1);
  const T = Math.max(...lengths);
  const tokens = new Int32Array(T * B);
  const classes = new Int32Array(T * B).fill(-1);
  targets.forEach((target, b) => {
    for (let t = 0; t <= target.length; t++) {
      tokens[t * B + b] = t === 0 ? start : target[t - 1];
      classes[t * B + b] = t === target.length ? end : target[t];
    }
  });
  return { T, B, lengths, tokens, classes };
}

/** Tokens of a sequence, or the numbers of its frames one after the other, as far as it is written. */
export interface Draft {
  readonly ids: number[];
  complete: boolean;
}

export const drafts = (B: number): Draft[] => Array.from({ length: B }, () => ({ ids: [], complete: false }));

/** Whether exactly this was written. */
export function matches({ ids, complete }: Draft, target: ArrayLike<number>): boolean {
  return complete && ids.length === target.length && ids.every((id, i) => id === target[i]);
}

/**
 * Writes B sequences in parallel until all have come to their end, or to `maxLength`.
 *
 * @param step the next class of each, given the tokens before [B]; in a scope of its own, so that a long text takes no more memory
 *   than a short one
 */
export function writeTokens(
  tape: Tape,
  { start, end }: Ends,
  all: readonly Draft[],
  maxLength: number,
  step: (tokens: Int32Array) => Int32Array,
): void {
  let tokens = new Int32Array(all.length).fill(start);
  for (let t = 0; t < maxLength && all.some(({ complete }) => !complete); t++) {
    const next = tape.runtime.scope(() => step(tokens));
    all.forEach((own, b) => {
      if (own.complete) return;
      if (next[b] === end) own.complete = true;
      else own.ids.push(next[b]);
    });
    tokens = next.map((id) => (id === end ? start : id));
  }
}
