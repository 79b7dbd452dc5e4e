/** Connectionist temporal classification: training without knowing when which label is said, and reading off what is said. */
import { BEAM_NODE, BEAM_PREFIX } from '../../assembly/layout.js';
import * as check from '../check.js';
import { align } from '../core/runtime.js';
import type { Loss, Rows, Tape } from '../tape.js';

export interface CtcOptions {
  /** The class that stands for no label. Default 0. */
  blank?: number | undefined;
  /** `'mean'`, the default, divides the loss of each sequence by its number of labels, and averages over the batch. */
  reduction?: 'mean' | 'sum' | undefined;
}

export interface BeamSearchOptions {
  /** The class that stands for no label. Default 0. */
  blank?: number | undefined;
  /** How many prefixes stay at each step. Default 8. */
  beamWidth?: number | undefined;
}

/** A labelling, and the logarithm of the probability that the beam found for it. */
export interface Labelling {
  readonly labels: number[];
  readonly logProbability: number;
}

/**
 * Loss of softmax(logits) against labels of which only the order is known, as in PyTorch: -ln of the probability of all paths that
 * are the labels once repeats, then blanks, are dropped (Graves et al. 2006, https://doi.org/10.1145/1143844.1143891).
 *
 * @param logits [T,B,C]
 * @param targets labels of each sequence, whole numbers in 0…C-1, not the blank; there may be none
 */
export function ctcLoss(
  tape: Tape,
  logits: Rows,
  targets: readonly ArrayLike<number>[],
  options: CtcOptions = {},
): Loss {
  check.options('ctcLoss', options, ['blank', 'reduction']);
  const { T, B, F: C, ld, lengths } = logits;
  const blank = checkBlank(options.blank, C);
  const mean = check.oneOf('reduction', options.reduction ?? 'mean', ['mean', 'sum']) === 'mean';
  if (targets.length !== B) {
    throw new RangeError(`targets: expected ${B} lists of labels, one for each sequence, got ${targets.length}`);
  }
  for (let b = 0; b < B; b++) checkTarget(`targets[${b}]`, targets[b], C, blank, lengths?.values[b] ?? T);

  const { runtime } = tape;
  const { core } = runtime;
  const sizes = Int32Array.from(targets, ({ length }) => length);
  const pairs = Math.max(...sizes) + 1;
  const sizesAt = runtime.take(4 * B);
  runtime.writeInts(sizesAt, sizes);
  const labels = runtime.take(4 * sizes.reduce((n, size) => n + size, 0));
  targets.reduce((at, target) => {
    runtime.writeInts(at, target);
    return at + 4 * target.length;
  }, labels);
  const norms = runtime.take(8 * T * B);
  const bytes = align(16 * (1 + (T + 1) * pairs));
  const stride = tape.training ? bytes : 0;
  const alpha = runtime.take(tape.training ? B * bytes : bytes);
  const ends = lengths?.at ?? 0;
  const shape = [labels, sizesAt, ends, T, B, C, blank, mean ? 1 : 0] as const;
  const value = core.ctcForward(norms, alpha, stride, logits.at, ld, ...shape);
  const count = mean ? B : 1;
  let scale = 0;
  if (logits.grad) {
    tape.record(() => {
      const beta = runtime.take(16 * (pairs + 1));
      const shares = runtime.take(16 * Math.ceil(C / 2));
      core.ctcBackward(logits.grad, beta, shares, norms, alpha, stride, logits.at, ld, ...shape, scale / count);
    });
  }
  return {
    value: value / count,
    addGradient: (s) => {
      scale += s;
    },
  };
}

/**
 * What the best path says: the most probable class of each step, without repeats and blanks.
 *
 * @param logits [T,B,C]
 * @returns labels of each sequence
 */
export function ctcBestPath(tape: Tape, logits: Rows, options: { blank?: number | undefined } = {}): number[][] {
  check.options('ctcBestPath', options, ['blank']);
  const { runtime } = tape;
  const { at, ld, T, B, F: C, lengths } = logits;
  const blank = checkBlank(options.blank, C);
  const out = runtime.take(4 * B * T);
  const sizes = runtime.take(4 * B);
  runtime.core.ctcBestPath(out, sizes, at, ld, lengths?.at ?? 0, T, B, C, blank);
  return Array.from({ length: B }, (_, b) => ints(tape, out + 4 * b * T, ints(tape, sizes + 4 * b, 1)[0]));
}

/**
 * The most probable labellings that a prefix beam search finds (Hannun et al. 2014, arXiv:1408.2873v2), without a language model.
 * Their probabilities are exact where the beam holds every prefix there is, and too low else.
 *
 * @param logits [T,B,C]
 * @returns for each sequence at most `beamWidth` labellings, best first
 */
export function ctcBeamSearch(tape: Tape, logits: Rows, options: BeamSearchOptions = {}): Labelling[][] {
  check.options('ctcBeamSearch', options, ['blank', 'beamWidth']);
  const { runtime } = tape;
  const { at, ld, T, B, F: C, lengths } = logits;
  const blank = checkBlank(options.blank, C);
  const W = check.whole('beamWidth', options.beamWidth ?? 8);
  const out = runtime.take(4 * W * T, 'beam');
  const sizes = runtime.take(4 * W, 'beam');
  const scores = runtime.take(4 * W, 'beam');
  const tree = runtime.take((T * W + 1) * BEAM_NODE, 'beam');
  const beams = runtime.take(2 * W * BEAM_PREFIX, 'beam');
  const marks = runtime.take(4 * C);
  return Array.from({ length: B }, (_, b) => {
    const steps = lengths?.values[b] ?? T;
    const scratch = [tree, beams, marks] as const;
    const n = runtime.core.ctcBeamSearch(out, sizes, scores, ...scratch, at + b * ld, B * ld, steps, C, blank, W);
    const found = runtime.read(scores, n);
    return ints(tape, sizes, n).map((size, i) => ({
      labels: ints(tape, out + 4 * i * steps, size),
      logProbability: found[i],
    }));
  });
}

function ints(tape: Tape, address: number, n: number): number[] {
  return Array.from(tape.runtime.i32.subarray(address >>> 2, (address >>> 2) + n));
}

function checkBlank(blank: number | undefined, C: number): number {
  return check.whole('blank', blank ?? 0, 0, C - 1);
}

/** That a path of so many steps can be these labels. */
function checkTarget(name: string, target: ArrayLike<number>, C: number, blank: number, steps: number): void {
  if (typeof target !== 'object' || target === null || typeof target.length !== 'number') {
    check.fail(name, 'a list of labels', target);
  }
  let repeats = 0;
  for (let i = 0; i < target.length; i++) {
    const label = target[i];
    if (!(Number.isInteger(label) && label >= 0 && label < C && label !== blank)) {
      check.fail(`${name}[${i}]`, `a label from 0 to ${C - 1} other than the blank, ${blank}`, label);
    }
    if (i > 0 && label === target[i - 1]) repeats++;
  }
  const needed = target.length + repeats;
  if (needed > steps) {
    throw new RangeError(
      `${name}: ${target.length} labels, ${repeats} of them like the one before, need ${needed} steps; the sequence has ${steps}`,
    );
  }
}
