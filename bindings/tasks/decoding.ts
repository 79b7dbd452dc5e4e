/** What decoders share: where they start, what they read and are to say, and how they write token by token. */
import * as check from '../check.js';
import { input, read } from '../nn/input.js';
import { Linear } from '../nn/linear.js';
import type { Builder, Model } from '../nn/model.js';
import { argmaxRows, checkSampling, type SamplingOptions, sampleRows } from '../nn/predict.js';
import type { Recurrent } from '../nn/recurrent/recurrent.js';
import { State, type StateRows } from '../nn/recurrent/state.js';
import { activation } from '../nn/rows.js';
import { Random } from '../random.js';
import type { Rows, Tape } from '../tape.js';
import type { BatchOptions } from './examples.js';

/** c → the initial state of a stack: one affine map and tanh for each layer and state. */
export class Bridge {
  readonly #h: readonly Linear[];
  readonly #c: readonly Linear[];

  /** @param name prefix of the parameters: `h0.weight`, `h0.bias`, `c0.weight` … */
  constructor(b: Builder, name: string, inputSize: number, { h, c }: Recurrent['stateSizes']) {
    const make = (kind: string) => (outputSize: number, l: number) =>
      new Linear(b, `${name}.${kind}${l}`, { inputSize, outputSize });
    this.#h = h.map(make('h'));
    this.#c = c.map(make('c'));
  }

  /** [1,B,I] */
  forward(tape: Tape, context: Rows): StateRows {
    const make = (affine: Linear) => activation(tape, affine.forward(tape, context), 'tanh');
    return { h: this.#h.map(make), c: this.#c.map(make) };
  }
}

/** A decoder's initial state as plain numbers, to be moved on step by step. */
export function given(tape: Tape, decoder: Recurrent, state: StateRows | undefined, B: number): State {
  if (!state) return decoder.state(B);
  return new State(
    B,
    state.h.map((rows) => read(tape, rows)),
    state.c.map((rows) => read(tape, rows)),
  );
}

/** Rows of one sequence, [T,1,F], as often as there are hypotheses. */
export function copies(tape: Tape, rows: Rows, B: number): Rows {
  const { T, F } = rows;
  const one = read(tape, rows);
  const all = new Float32Array(T * B * F);
  for (let t = 0; t < T; t++) for (let b = 0; b < B; b++) all.set(one.subarray(t * F, (t + 1) * F), (t * B + b) * F);
  return input(tape, all, { T, B, F });
}

/** The class that ends a sequence, and the token that begins one. */
export interface Ends {
  readonly end: number;
  readonly start: number;
}

/** Targets [T,B] shifted: what is read, and what is to come; -1 behind the end. */
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

/** How tokens are written. */
export interface WriteOptions extends SamplingOptions, BatchOptions {
  /** Tokens at most, default 100: a decoder need not come to an end. */
  maxLength?: number | undefined;
  /** Hypotheses that are followed side by side; 1, the default, takes the likeliest token each time. */
  beamWidth?: number | undefined;
  /** α: hypotheses are compared by their log-probability over lengthᵅ, default 1. */
  lengthNormalization?: number | undefined;
  /** Draw tokens; with `temperature`, `topK`, `topP` and `seed`. Default false. */
  sample?: boolean | undefined;
  /** Default: the model's own random stream. */
  seed?: number | undefined;
}

const DRAWING = ['temperature', 'topK', 'topP', 'seed'] as const;
const WRITE_OPTIONS = [
  ...DRAWING,
  'batchSize',
  'signal',
  'maxLength',
  'beamWidth',
  'lengthNormalization',
  'sample',
] as const;

/** The options with their defaults, and the random numbers they ask for. */
export function checkWriting(options: WriteOptions, model: Model<unknown>) {
  check.options('predict', options, WRITE_OPTIONS);
  const { maxLength = 100, beamWidth = 1, lengthNormalization = 1, sample = false, seed } = options;
  check.whole('maxLength', maxLength);
  check.whole('beamWidth', beamWidth);
  check.number('lengthNormalization', lengthNormalization, 0);
  check.flag('sample', sample);
  const drawing = checkSampling(options);
  const draws = DRAWING.find((key) => options[key] !== undefined);
  if (draws && !sample) throw new RangeError(`${draws}: means nothing without sample: true`);
  if (sample && beamWidth > 1)
    throw new RangeError('sample and beamWidth do not go together: a beam keeps the likeliest');
  const random = seed === undefined ? model.random : new Random(check.whole('seed', seed, 0, Number.MAX_SAFE_INTEGER));
  const batch = { batchSize: options.batchSize, signal: options.signal };
  return { maxLength, beamWidth, lengthNormalization, sample, drawing, random, batch };
}

/** How a class is chosen for each row of logits: drawn, or the likeliest. */
export function picking({ sample, drawing, random }: ReturnType<typeof checkWriting>) {
  return (tape: Tape, logits: Rows): Int32Array =>
    sample ? sampleRows(tape, random, logits, drawing) : argmaxRows(tape, logits);
}

export interface Written {
  readonly ids: number[];
  complete: boolean;
}

/**
 * Writes B sequences side by side until all have come to their end, or to `maxLength`.
 *
 * @param step the next class of each, given the tokens before [B]; in a scope of its own, so that a long text takes no more memory
 *   than a short one
 */
export function writeTokens(
  tape: Tape,
  { start, end }: Ends,
  written: readonly Written[],
  maxLength: number,
  step: (tokens: Int32Array) => Int32Array,
): void {
  let tokens = new Int32Array(written.length).fill(start);
  for (let t = 0; t < maxLength && written.some(({ complete }) => !complete); t++) {
    const next = tape.runtime.scope(() => step(tokens));
    written.forEach((own, b) => {
      if (own.complete) return;
      if (next[b] === end) own.complete = true;
      else own.ids.push(next[b]);
    });
    tokens = next.map((id) => (id === end ? start : id));
  }
}
