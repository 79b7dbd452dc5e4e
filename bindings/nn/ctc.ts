/** Connectionist temporal classification: learning labels of which only the order is known, and decoding them. */
import { BEAM_NODE, BEAM_PREFIX } from '../../assembly/layout.js';
import * as check from '../check.js';
import { align } from '../core/runtime.js';
import { type Options, oneOf, option, optional, readOptions, required, whole } from '../options.js';
import { checkRows, lossOf, type Rows, type Tape } from '../tape.js';
import { checkReduction, checkUpstream, type Reduced, type Reduction, reduced } from './losses.js';

/** What decoding takes. */
const DECODING = {
  /** The class that stands for no label. Default 0. */
  blank: option(whole(0), 0),
};

const LOSS = {
  ...DECODING,
  /**
   * `'mean'` divides the loss of each sequence by its number of labels, and averages over the batch; `'none'` gives the losses of the
   * sequences as `values`. Default `'mean'`.
   */
  reduction: option(oneOf('mean', 'sum', 'none'), 'mean'),
  /** Infinite losses, of labels that do not fit into the steps, become 0 and have no gradient. Default false: they are errors. */
  zeroInfinity: option(check.flag, false),
  /** With `'none'` [B]: the gradient of what is minimised with respect to each loss; default ones. */
  upstream: optional(checkUpstream),
};

const BEAM = {
  ...DECODING,
  /** How many prefixes are kept at each step. */
  beamWidth: required(check.whole),
};

/** What `ctcLoss` takes. */
export interface CtcOptions<R extends Reduction = Reduction> extends Omit<Options<typeof LOSS>, 'reduction'> {
  /**
   * `'mean'` divides the loss of each sequence by its number of labels, and averages over the batch; `'none'` gives the losses of the
   * sequences as `values`. Default `'mean'`.
   */
  reduction?: R | undefined;
}

/** What `ctcBestPath` takes. */
export interface BestPathOptions extends Options<typeof DECODING> {}

/** What `ctcBeamSearch` takes. */
export interface BeamSearchOptions extends Options<typeof BEAM> {}

/** A labelling, and the natural logarithm of the probability that the beam found for it. */
export interface Labelling {
  readonly labels: number[];
  readonly logProbability: number;
}

/**
 * Loss of softmax(logits) against labels of which only the order is known, as in PyTorch: -ln of the probability of all paths that
 * are the labels once repeats, then blanks, are dropped (Graves et al. 2006, https://doi.org/10.1145/1143844.1143891).
 *
 * @param logits [T,B,C]
 * @param targets labels of each sequence, whole numbers in 0…C-1 except the blank; a list may be empty
 * @returns with `'none'` the losses of the sequences [B], in single precision
 * @throws TypeError, RangeError for labels that are out of range or do not fit into the steps, or invalid options
 *
 * @example
 * ```js
 * import { ctcLoss, input, Model, Runtime } from 'gatewise';
 *
 * const model = new Model(await Runtime.create(), 1, () => null);
 * // two steps, all classes as probable: 3 of the 4 paths spell [1], -ln(3/4) is
 * const loss = model.forward((tape) => ctcLoss(tape, input(tape, [0, 0, 0, 0], { T: 2, B: 1, F: 2 }), [[1]]).value);
 * console.log(loss.toFixed(4)); // 0.2877
 * ```
 */
export function ctcLoss<R extends Reduction = 'mean'>(
  tape: Tape,
  logits: Rows,
  targets: readonly ArrayLike<number>[],
  options: CtcOptions<R> = {},
): Reduced<R> {
  const { T, B, F: C, ld, lengths } = checkRows(tape, 'logits', logits);
  const { blank, zeroInfinity, upstream, ...rest } = readOptions('ctcLoss', LOSS, options);
  const reduction = checkReduction({ ...rest, upstream });
  check.whole('blank', blank, 0, C - 1);
  const mean = reduction === 'mean';
  if (targets?.length !== B) {
    throw new RangeError(`targets: expected ${B} lists of labels, one per sequence, got ${targets?.length}`);
  }
  for (let b = 0; b < B; b++) {
    checkTarget(`targets[${b}]`, targets[b], C, blank, zeroInfinity ? Infinity : (lengths?.values[b] ?? T));
  }
  if (upstream) check.numbers('upstream', upstream, B, `[B=${B}]`);

  const { runtime, core } = tape;
  const sizes = Int32Array.from(targets, ({ length }) => length);
  const pairs = Math.max(...sizes) + 1;
  const sizesAt = tape.ints(sizes);
  const labels = tape.ints(targets.flatMap((target, b) => Array.from({ length: sizes[b] }, (_, i) => target[i])));
  const norms = runtime.take(8 * T * B);
  const bytes = align(16 * (1 + (T + 1) * pairs));
  const stride = tape.training ? bytes : 0;
  const alpha = runtime.take(tape.training ? B * bytes : bytes);
  const ends = lengths?.at ?? 0;
  const shape = [labels, sizesAt, ends, T, B, C, blank] as const;
  const [losses, weights] = [runtime.take(8 * B), runtime.take(8 * B)];
  runtime.writeDoubles(
    weights,
    Float64Array.from(sizes, (S, b) => (mean ? 1 / Math.max(S, 1) : (upstream?.[b] ?? 1))),
  );
  const zero = zeroInfinity ? 1 : 0;
  const value = core.ctcForward(norms, alpha, stride, logits.at, ld, ...shape, losses, weights, zero);
  const count = mean ? B : 1;
  const back = (scale: number) => {
    const beta = runtime.take(16 * (pairs + 1));
    const shares = runtime.take(16 * Math.ceil(C / 2));
    core.ctcBackward(logits.grad, beta, shares, norms, alpha, stride, logits.at, ld, ...shape, weights, scale / count);
  };
  const values = reduction === 'none' ? Float32Array.from(runtime.readDoubles(losses, B)) : undefined;
  return reduced(lossOf(tape, value / count, logits.grad ? back : null), values);
}

/**
 * The best path: the most probable class of each step, without repeats and blanks (Graves et al. 2006).
 *
 * @param logits [T,B,C]
 * @returns labels of each sequence
 * @throws TypeError, RangeError for invalid options
 *
 * @example
 * ```js
 * import { ctcBestPath, input, Model, Runtime } from 'gatewise';
 *
 * const model = new Model(await Runtime.create(), 1, () => null);
 * const logits = [0, 9, 0, 9, 0, 0, 0, 0, 9]; // class 1, the blank, class 2
 * const [labels] = model.forward((tape) => ctcBestPath(tape, input(tape, logits, { T: 3, B: 1, F: 3 })));
 * console.log(labels.join(' ')); // 1 2
 * ```
 */
export function ctcBestPath(tape: Tape, logits: Rows, options: BestPathOptions = {}): number[][] {
  const { at, ld, T, B, F: C, lengths } = checkRows(tape, 'logits', logits);
  const { runtime } = tape;
  const { blank } = readOptions('ctcBestPath', DECODING, options);
  check.whole('blank', blank, 0, C - 1);
  const out = runtime.take(4 * B * T);
  const sizes = runtime.take(4 * B);
  runtime.core.ctcBestPath(out, sizes, at, ld, lengths?.at ?? 0, T, B, C, blank);
  return Array.from({ length: B }, (_, b) => ints(tape, out + 4 * b * T, ints(tape, sizes + 4 * b, 1)[0]));
}

/**
 * The most probable labellings that a prefix beam search finds (Hannun et al. 2014, arXiv:1408.2873v2), without a language model.
 * Their probabilities are exact where the beam holds all possible prefixes; otherwise they are lower bounds.
 *
 * @param logits [T,B,C]
 * @returns for each sequence at most `beamWidth` labellings, best first
 * @throws TypeError, RangeError for invalid options
 *
 * @example
 * ```js
 * import { ctcBeamSearch, input, Model, Runtime } from 'gatewise';
 *
 * const model = new Model(await Runtime.create(), 1, () => null);
 * const logits = [0, 9, 0, 9, 0, 0, 0, 9, 0]; // class 1, the blank, class 1
 * const [[best]] = model.forward((tape) =>
 *   ctcBeamSearch(tape, input(tape, logits, { T: 3, B: 1, F: 3 }), { beamWidth: 4 }),
 * );
 * console.log(best.labels.join(' ')); // 1 1
 * ```
 */
export function ctcBeamSearch(tape: Tape, logits: Rows, options: BeamSearchOptions): Labelling[][] {
  const { at, ld, T, B, F: C, lengths } = checkRows(tape, 'logits', logits);
  const { runtime } = tape;
  const { blank, beamWidth: W } = readOptions('ctcBeamSearch', BEAM, options);
  check.whole('blank', blank, 0, C - 1);
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
  return [...tape.readInts(address, n)];
}

/** That a path of this number of steps can spell these labels. */
function checkTarget(name: string, target: ArrayLike<number>, C: number, blank: number, steps: number): void {
  check.whole(`${name}.length`, target?.length, 0);
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
      `${name}: ${target.length} labels, ${repeats} of them equal to the one before, need ${needed} steps; the sequence has ${steps}`,
    );
  }
}
