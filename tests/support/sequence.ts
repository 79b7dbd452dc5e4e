/** CTC and the CRF as operations, on guarded memory and with NaN after the ends of sequences. */
import {
  Crf,
  type CrfLossOptions,
  type CtcOptions,
  ctcLoss,
  type Gradient,
  gradientOf,
  type Loss,
  Model,
  type Rows,
  type Tape,
} from 'gatewise';
import { is } from 'uvu/assert';
import * as crfReference from '../reference/crf.js';
import * as ctcReference from '../reference/ctc.js';
import { guarded } from './builds.js';
import { anyInput, setAny } from './layers.js';
import { random, uniform } from './numbers.js';
import type { Numbers, Operation } from './operation.js';

export interface Shape {
  readonly T: number;
  readonly B: number;
  readonly F: number;
  readonly lengths?: readonly number[] | undefined;
}

/** Numbers on the tape, and NaN after the ends of sequences. */
function poisoned(tape: Tape, values: ArrayLike<number>, { T, B, F, lengths }: Shape): Rows {
  const rows = anyInput(tape, values, { T, B, F, lengths }, { gradient: true });
  const { f32 } = tape.runtime;
  for (let r = 0; r < T * B; r++) {
    const from = (rows.at + r * rows.ld) >>> 2;
    if (lengths && r >= lengths[r % B] * B) f32.fill(Number.NaN, from, from + rows.ld / 4);
  }
  return rows;
}

/** A loss and its gradients; its value is the same where no backward pass follows. */
export function measure(
  build: string,
  { x, ...parameters }: Numbers,
  shape: Shape,
  work: (tape: Tape, rows: Rows, crf: Crf) => Loss,
) {
  const { runtime, check } = guarded(build);
  const model = new Model(runtime, 0, (b) => new Crf(b, 'crf', { numClasses: shape.F }));
  setAny(model, parameters);
  const gradients: Numbers = {};
  let dx: Gradient | undefined;
  const value = model.valueAndGrad((tape, crf) => {
    const rows = poisoned(tape, x, shape);
    dx = gradientOf(tape, rows);
    return work(tape, rows, crf);
  });
  gradients.x = dx?.values ?? new Float32Array();
  for (const name of Object.keys(parameters)) gradients[name] = model.gradient(name);
  const again = model.forward((tape, crf) => work(tape, poisoned(tape, x, shape), crf).value);
  is(again, value);
  check();
  runtime.dispose();
  return { outputs: { loss: [value] }, gradients };
}

/** What a function of rows on the tape returns, in guarded memory. */
export function on<R>(
  build: string,
  { x, ...parameters }: Numbers,
  shape: Shape,
  work: (tape: Tape, rows: Rows, crf: Crf) => R,
): R {
  const { runtime, check } = guarded(build);
  const model = new Model(runtime, 0, (b) => new Crf(b, 'crf', { numClasses: shape.F }));
  setAny(model, parameters);
  const result = model.forward((tape, crf) => work(tape, poisoned(tape, x, shape), crf));
  check();
  runtime.dispose();
  return result;
}

const upstream = { loss: Float32Array.of(1) };

export interface CtcTest extends Shape {
  readonly targets: readonly (readonly number[])[];
  readonly scale?: number;
  /** What is added to the classes of a path that is right, as in a network that has learned. */
  readonly sure?: number;
  readonly blank?: number;
  readonly reduction?: 'mean' | 'sum' | 'none';
  readonly upstream?: readonly number[];
}

export function ctcOperation(seed: number, c: CtcTest): Operation {
  const { T, B, F: C, targets, lengths, scale = 1, sure = 0, blank, reduction, upstream: shares } = c;
  const inputs = { x: uniform(random(seed), T * B * C, scale) };
  targets.forEach((target, b) => {
    for (let t = 0; t < T; t++) inputs.x[(t * B + b) * C + (t % 2 ? (target[(t - 1) / 2] ?? 0) : 0)] += sure;
  });
  const options: CtcOptions = { blank, reduction, upstream: shares };
  const sizes = targets.map(({ length }) => length).join();
  return {
    title: `ctc T=${T}${lengths ? ` (${lengths})` : ''} B=${B} C=${C} labels ${sizes} ±${scale}${sure ? ', sure' : ''}`,
    inputs,
    upstream,
    shapes: { x: [T * B, C] },
    reference: (g, { x }) => ({
      loss: ctcReference.ctc(g, x, { T, B, C, targets, lengths, blank, reduction, upstream: shares }),
    }),
    kernel: (build) => measure(build, inputs, c, (tape, rows) => ctcLoss(tape, rows, targets, options)),
  };
}

/** Labels but for the blank 0; each is the one before with probability `repeat`. */
export function labels(seed: number, size: number, C: number, repeat: number): number[] {
  const next = random(seed);
  const target: number[] = [];
  for (let i = 0; i < size; i++) {
    target.push(i > 0 && next() < repeat ? target[i - 1] : 1 + Math.floor(next() * (C - 1)));
  }
  return target;
}

export interface CrfTest extends Shape {
  readonly scale?: number;
  readonly reduction?: CrfLossOptions['reduction'];
  readonly upstream?: readonly number[];
  /** Moves that are worth ±1e4: how many of ten. */
  readonly forbidden?: number;
  readonly demanded?: number;
}

export function crfInputs(seed: number, { T, B, F: K, scale = 1, forbidden = 0, demanded = 0 }: CrfTest) {
  const next = random(seed);
  const inputs = {
    x: uniform(next, T * B * K, scale),
    'crf.start_transitions': uniform(next, K, scale),
    'crf.end_transitions': uniform(next, K, scale),
    'crf.transitions': uniform(next, K * K, scale),
  };
  // tags whose moves are not forbidden
  const tags = Int32Array.from({ length: T * B }, () => Math.floor(next() * K));
  const moves = inputs['crf.transitions'];
  for (let i = 0; i < K * K; i++) {
    const u = next() * 10;
    if (u < forbidden) moves[i] = -1e4;
    else if (u > 10 - demanded) moves[i] = 1e4;
  }
  if (forbidden) {
    for (let j = 0; j < K; j++) moves[j] = Math.max(moves[j], -scale);
    for (let r = B; r < T * B; r++) if (moves[tags[r - B] * K + tags[r]] === -1e4) tags[r - B] = 0;
    for (let r = T * B - 1; r >= B; r--) if (moves[tags[r - B] * K + tags[r]] === -1e4) tags[r] = tags[r - B];
  }
  return { inputs, tags };
}

export function crfOperation(seed: number, c: CrfTest): Operation {
  const { T, B, F: K, lengths, scale = 1, reduction, upstream: shares, forbidden = 0, demanded = 0 } = c;
  const { inputs, tags } = crfInputs(seed, c);
  const special = `${forbidden ? ', -1e4' : ''}${demanded ? ', +1e4' : ''}`;
  // values past the end are not tags
  const given = Array.from(tags, (tag, r) => (lengths && r >= lengths[r % B] * B ? Number.NaN : tag));
  return {
    title: `crf T=${T}${lengths ? ` (${lengths})` : ''} B=${B} K=${K} ±${scale}${special} ${reduction ?? ''}`.trim(),
    inputs,
    upstream,
    shapes: {
      x: [T * B, K],
      'crf.start_transitions': [1, K],
      'crf.end_transitions': [1, K],
      'crf.transitions': [K, K],
    },
    reference: (g, m) => ({
      loss: crfReference.crf(g, m.x, m['crf.transitions'], m['crf.start_transitions'], m['crf.end_transitions'], {
        T,
        B,
        K,
        tags,
        lengths,
        reduction,
        upstream: shares,
      }),
    }),
    kernel: (build) =>
      measure(build, inputs, c, (tape, rows, crf) => crf.loss(tape, rows, given, { reduction, upstream: shares })),
  };
}

/** T, C, blank and the scale of the logits of cases with few paths. */
export const TINY = [
  [1, 1, 0, 1],
  [1, 3, 0, 1],
  [4, 3, 0, 2],
  [5, 3, 2, 1],
  [6, 2, 1, 5],
  [4, 5, 1, 1],
] as const;

/** T, K and the scale of cases with few labellings. */
export const TINY_CRF = [
  [1, 1, 1],
  [3, 1, 1],
  [1, 5, 1],
  [5, 3, 2],
  [7, 2, 30],
  [4, 5, 1],
  [2, 17, 1],
] as const;
