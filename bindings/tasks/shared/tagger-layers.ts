/**
 * inputs → recurrent stack → linear layers for each set of classes → softmax, a sigmoid for each class, or a linear-chain CRF: the
 * layers of SequenceTagger, its labels as numbers, and what its logits say.
 */
import * as check from '../../check.js';
import type { Builder } from '../../nn/builder.js';
import { Crf } from '../../nn/crf.js';
import { dropout } from '../../nn/dropout.js';
import { read } from '../../nn/input.js';
import { bceWithLogitsLoss, crossEntropyLoss } from '../../nn/losses.js';
import { MLP } from '../../nn/mlp.js';
import { softmaxRows } from '../../nn/predict.js';
import type { RecurrentOptions } from '../../nn/recurrent/options.js';
import { Recurrent } from '../../nn/recurrent/recurrent.js';
import type { State } from '../../nn/recurrent/state.js';
import { activation } from '../../nn/rows.js';
import type { Reader, Settings } from '../../options.js';
import { names, option, recordOf, required } from '../../options.js';
import type { Loss, Rows, Tape } from '../../tape.js';
import type { Encoded, InputConfig } from './inputs.js';
import { INPUT, SequenceInput } from './inputs.js';
import { HEAD } from './pooled.js';
import { stackSchema } from './stack.js';

/** What a step can be: names of classes, or of those of several sets by the names of the sets. */
export type Classes = readonly string[] | Readonly<Record<string, readonly string[]>>;

const readClasses: Reader<Classes> = (name, value) => {
  if (Array.isArray(value)) return names()(name, value);
  return recordOf(names(), 'a list of names, or lists by the names of sets')(name, value);
};

export const TAGGER = {
  /** Names of the classes, or of those of several sets: `{ pos: [...], entity: [...] }`. */
  classes: required(readClasses),
  /** A linear-chain CRF instead of a softmax: labels of neighbouring steps influence each other. Default false. */
  crf: option(check.flag, false),
  /** Whether a step can be of several classes of a set, or of none. Not with `crf`. Default false. */
  multiLabel: option(check.flag, false),
};
export const TAGGER_SCHEMA = { ...TAGGER, ...INPUT, ...stackSchema('lstm', 128), ...HEAD };

/** A set of classes; the only one has no name. */
export interface ClassSet {
  readonly name: string;
  readonly classes: readonly string[];
  readonly places: ReadonlyMap<unknown, number>;
}

export function classSets(classes: Classes): ClassSet[] {
  const lists: [string, readonly string[]][] = Array.isArray(classes) ? [['', classes]] : Object.entries(classes);
  return lists.map(([name, own]) => ({ name, classes: own, places: new Map(own.map((label, c) => [label, c])) }));
}

/** What is said of a sequence, for one set of classes. */
export interface Decoded {
  /** [T] the class of each step, or [T,classes] ones and zeros. */
  readonly tags: Int32Array;
  /** [T] of the class of each step; [T,classes] of each class; of a CRF none. */
  readonly probabilities: Float32Array;
}

/** An example as numbers. */
export interface TagItem {
  readonly length: number;
  readonly input: Encoded;
  /** By set: the class of each step [T], or a one for each label [T,classes]. */
  readonly labels: readonly Float32Array[];
}

/** Logits of each set, [T,B,classes]. */
export class TaggerLayers {
  readonly input: SequenceInput;
  readonly rnn: Recurrent;
  readonly heads: readonly MLP[];
  readonly chains: readonly Crf[];

  constructor(
    readonly b: Builder,
    readonly settings: Settings<typeof TAGGER_SCHEMA>,
    readonly sets: readonly ClassSet[],
    input: InputConfig,
    stack: RecurrentOptions,
  ) {
    const { crf, hiddenLayers, outputDropout } = settings;
    const named = (prefix: string, name: string) => (name ? `${prefix}.${name}` : prefix);
    this.input = new SequenceInput(b, 'embedding', input);
    this.rnn = new Recurrent(b, 'rnn', stack);
    const inputSize = this.rnn.outputSize;
    this.heads = sets.map(({ name, classes }) => {
      const options = { inputSize, outputSize: classes.length, hiddenLayers, dropout: outputDropout };
      return new MLP(b, named('head', name), options);
    });
    this.chains = crf
      ? sets.map(({ name, classes }) => new Crf(b, named('crf', name), { numClasses: classes.length }))
      : [];
  }

  forward(tape: Tape, batch: readonly Encoded[], state?: State): Rows[] {
    const x = dropout(tape, this.b.random, this.input.forward(tape, batch), this.settings.inputDropout);
    const { output } = this.rnn.forward(tape, x, state);
    return this.heads.map((head) => head.forward(tape, output));
  }

  /** The same for the inputs of examples. */
  forwardAll(tape: Tape, batch: readonly TagItem[]): Rows[] {
    const inputs = batch.map(({ input }) => input);
    return this.forward(tape, inputs);
  }

  /** The loss of each set, a mean over the steps; with several labels over the steps and classes. */
  losses(tape: Tape, logits: readonly Rows[], batch: readonly TagItem[]): Loss[] {
    return logits.map((rows, k) => {
      const { T, B, F } = rows;
      if (this.settings.multiLabel) {
        const ones = new Float32Array(T * B * F);
        batch.forEach(({ labels, length }, b) => {
          for (let t = 0; t < length; t++) ones.set(labels[k].subarray(t * F, (t + 1) * F), (t * B + b) * F);
        });
        return bceWithLogitsLoss(tape, rows, ones);
      }
      const targets = new Int32Array(T * B).fill(-1);
      batch.forEach(({ labels }, b) => labels[k].forEach((label, t) => (targets[t * B + b] = label)));
      return this.chains.length
        ? this.chains[k].loss(tape, rows, targets, { reduction: 'tokenMean' })
        : crossEntropyLoss(tape, rows, targets);
    });
  }

  /** [B][sets] */
  decode(
    tape: Tape,
    logits: readonly Rows[],
    batch: readonly { readonly length: number }[],
    threshold?: number,
  ): Decoded[][] {
    const decode = this.settings.multiLabel ? severalOf : this.chains.length ? null : mostProbable;
    const bySet = logits.map((rows, k) => {
      if (decode) return decode(tape, rows, batch, threshold);
      const { tags } = this.chains[k].decode(tape, rows);
      return batch.map(({ length }, b) => ({ tags: tags[b].slice(0, length), probabilities: new Float32Array() }));
    });
    return batch.map((_, b) => bySet.map((own) => own[b]));
  }
}

/** The most probable class of each step. */
function mostProbable(tape: Tape, rows: Rows, batch: readonly { readonly length: number }[]): Decoded[] {
  const p = softmaxRows(tape, rows);
  const K = rows.F;
  return batch.map(({ length }, b) => {
    const probabilities = new Float32Array(length);
    const tags = Int32Array.from({ length }, (_, t) => {
      let best = 0;
      const at = (t * rows.B + b) * K;
      for (let c = 1; c < K; c++) if (p[at + c] > p[at + best]) best = c;
      probabilities[t] = p[at + best];
      return best;
    });
    return { tags, probabilities };
  });
}

/** The classes of each step whose probability is at least the threshold. */
function severalOf(
  tape: Tape,
  rows: Rows,
  batch: readonly { readonly length: number }[],
  threshold: number = 0.5,
): Decoded[] {
  const p = read(tape, activation(tape, rows, 'sigmoid'));
  const { B, F } = rows;
  return batch.map(({ length }, b) => {
    const probabilities = new Float32Array(length * F);
    for (let t = 0; t < length; t++) probabilities.set(p.subarray((t * B + b) * F, (t * B + b + 1) * F), t * F);
    return { tags: Int32Array.from(probabilities, (own) => (own >= threshold ? 1 : 0)), probabilities };
  });
}

/** The class of each step. */
export function encodeLabels(place: string, list: unknown, set: ClassSet, steps: number): Float32Array {
  if (!Array.isArray(list)) return check.fail(place, 'a list of labels', list);
  if (list.length !== steps) throw new RangeError(`${place}: ${list.length} labels for ${steps} steps`);
  return Float32Array.from(list, (label: unknown, t) => placeOf(`${place}[${t}]`, label, set));
}

/** Ones for the labels of each step [T,classes]: of lists of labels, or of frames of zeros and ones. */
export function encodeFrames(place: string, given: unknown, set: ClassSet, steps: number): Float32Array {
  const K = set.classes.length;
  const bit = (name: string, value: unknown) =>
    value === 0 || value === 1 ? value : check.fail(name, '0 or 1', value);
  if (check.isFloats(given)) {
    if (given.length !== steps * K)
      throw new RangeError(`${place}: ${given.length} numbers for ${steps} steps of ${K} classes`);
    return Float32Array.from(given, (value, i) => bit(`${place}[${i}]`, value));
  }
  if (!Array.isArray(given))
    return check.fail(place, 'a list of labels, or a frame of zeros and ones, for each step', given);
  if (given.length !== steps) throw new RangeError(`${place}: labels of ${given.length} steps for ${steps} steps`);
  const ones = new Float32Array(steps * K);
  given.forEach((step: unknown, t) => {
    const own = `${place}[${t}]`;
    if (check.isFloats(step) || (Array.isArray(step) && typeof step[0] === 'number')) {
      const frame = step as ArrayLike<unknown>;
      if (frame.length !== K) check.fail(own, `a frame of ${K} zeros and ones`, step);
      for (let c = 0; c < K; c++) ones[t * K + c] = bit(`${own}[${c}]`, frame[c]);
    } else if (Array.isArray(step)) {
      step.forEach((label: unknown, i) => (ones[t * K + placeOf(`${own}[${i}]`, label, set)] = 1));
    } else check.fail(own, `a list of labels, or a frame of ${K} zeros and ones`, step);
  });
  return ones;
}

function placeOf(place: string, label: unknown, { classes, places }: ClassSet): number {
  const c = places.get(label);
  if (c !== undefined) return c;
  throw new RangeError(`${place}: ${check.show(label)} is not among the classes ${check.list(classes)}`);
}
