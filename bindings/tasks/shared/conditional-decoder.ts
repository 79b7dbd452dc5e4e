/**
 * A decoder that starts from a vector X, or from nothing, and writes tokens, vectors or frames of bits: the layers of SequenceGenerator.
 */
import * as check from '../../check.js';
import type { Builder } from '../../nn/builder.js';
import { dropout } from '../../nn/dropout.js';
import { Embedding } from '../../nn/embedding.js';
import { input, lengthsOf } from '../../nn/input.js';
import { Linear } from '../../nn/linear.js';
import { bceWithLogitsLoss, crossEntropyLoss, mseLoss } from '../../nn/losses.js';
import { MLP } from '../../nn/mlp.js';
import type { RecurrentOptions } from '../../nn/recurrent/options.js';
import { Recurrent } from '../../nn/recurrent/recurrent.js';
import type { State, StateRows } from '../../nn/recurrent/state.js';
import { activation, concat, expand, slice } from '../../nn/rows.js';
import type { Reader, Settings } from '../../options.js';
import { listOf, names, oneOf, option, optional, rate, required } from '../../options.js';
import type { Loss, Rows, Tape } from '../../tape.js';
import { readVocabulary, Vocabulary } from '../../text/vocabulary.js';
import { type Found, search } from './beam.js';
import { Bridge, copies, type Draft, drafts, shifted, startState, writeTokens } from './decoding.js';
import { SequenceInput } from './inputs.js';

/** What is written: a text, whose characters are the tokens; a list of tokens; vectors, or frames of bits, of n features. */
export type GeneratorTarget = string | readonly string[] | { readonly vectors: number } | { readonly bits: number };

export const isTokens = (target: GeneratorTarget): target is string | readonly string[] =>
  typeof target === 'string' || Array.isArray(target);

const readTarget: Reader<GeneratorTarget> = (name, value) => {
  if (isTokens(value as GeneratorTarget)) return readVocabulary(name, value);
  const kind = (['vectors', 'bits'] as const).find((key) => Object.keys(value ?? {}).join() === key);
  if (!kind) return check.fail(name, 'tokens, { vectors: features } or { bits: features }', value);
  const features = check.whole(`${name}.${kind}`, (value as Record<string, unknown>)[kind]);
  return Object.freeze(kind === 'bits' ? { bits: features } : { vectors: features });
};

export const CONDITIONAL = {
  /** Numbers of X, say the pixels of a picture. Without this and `classes` there is no X: sequences start from nothing. */
  inputSize: optional(check.whole),
  /** Names of the classes that X can have, one or several: a one for each in X, after its numbers. */
  classes: optional(names()),
  /** What is written: a text, whose characters are the tokens; a list of tokens; vectors, or frames of bits, of n features. */
  target: required(readTarget),
  /** Features of a target token's vector, default 64; tokens only. */
  embeddingSize: optional(check.whole),
  /** Widths of layers with ReLU that X goes through first, default none. */
  hiddenLayers: option(listOf(check.whole, 'a list of widths'), []),
  /** Whether X makes the initial state, is an input at every step, or both. Default `'state'`. */
  pass: option(oneOf('state', 'input', 'both'), 'state'),
  /** Share of what is read at each step that is dropped in training, default 0. */
  inputDropout: option(rate, 0),
  /** Share of what the output layers read that is dropped in training, default 0. */
  outputDropout: option(rate, 0),
};
/** A target as numbers: tokens, or the numbers of frames. */
export interface Target {
  readonly length: number;
  readonly ids: Int32Array;
  readonly values: Float32Array;
}

/** What the decoder sees of X. */
interface Memory {
  readonly B: number;
  /** null without X. */
  readonly context: Rows | null;
  readonly state: StateRows | undefined;
}

interface Tokens {
  readonly kind: 'tokens';
  readonly vocabulary: Vocabulary;
  readonly embedding: Embedding;
}

interface Frames {
  readonly kind: 'vectors' | 'bits';
  readonly reader: SequenceInput;
  /** Whether the sequence is over. Of tokens, one says it. */
  readonly over: Linear;
}

/** How the next step follows from outputs [1,B,F]. */
export interface Choice {
  readonly token: (tape: Tape, logits: Rows) => Int32Array;
  readonly frame: (tape: Tape, outputs: Rows) => Float32Array;
  readonly over: (tape: Tape, logits: Rows) => Float32Array;
}

export class ConditionalDecoder {
  readonly encoder: MLP | null;
  readonly bridge: Bridge | null;
  readonly decoder: Recurrent;
  /** Logits of the tokens and the end, or the features of a frame. */
  readonly head: Linear;
  readonly outputSize: number;
  /** Numbers and classes of X; 0 without X. */
  readonly width: number;
  readonly written: Tokens | Frames;
  /** The class that ends a sequence, and the token that begins one. */
  readonly end: number;
  readonly start: number;

  constructor(
    readonly b: Builder,
    readonly settings: Settings<typeof CONDITIONAL>,
    stack: Omit<RecurrentOptions, 'inputSize'>,
  ) {
    const { inputSize = 0, classes = [], target, embeddingSize = 64, hiddenLayers, pass } = settings;
    const width = inputSize + classes.length;
    this.width = width;
    const size = hiddenLayers.at(-1) ?? width;
    const front = { inputSize: width, hiddenLayers: hiddenLayers.slice(0, -1), outputSize: size };
    this.encoder = hiddenLayers.length ? new MLP(b, 'encoder', front) : null;
    const frames = isTokens(target) ? null : target;
    const vocabulary = isTokens(target) ? new Vocabulary(target) : null;
    const features = frames ? ('bits' in frames ? frames.bits : frames.vectors) : 0;
    this.end = vocabulary?.size ?? 0;
    this.start = this.end + 1;
    const embedding = vocabulary && new Embedding(b, 'embedding', { vocabularySize: this.end + 2, embeddingSize });
    const read = (embedding ? embeddingSize : features) + (pass === 'state' || width === 0 ? 0 : size);
    this.decoder = new Recurrent(b, 'decoder', { ...stack, inputSize: read });
    this.bridge = pass === 'input' || width === 0 ? null : new Bridge(b, 'bridge', size, this.decoder.stateSizes);
    const { outputSize: hidden } = this.decoder;
    this.outputSize = embedding ? this.end + 1 : features;
    this.head = new Linear(b, 'head', { inputSize: hidden, outputSize: this.outputSize });
    this.written =
      vocabulary && embedding
        ? { kind: 'tokens', vocabulary, embedding }
        : {
            kind: frames && 'bits' in frames ? 'bits' : 'vectors',
            reader: new SequenceInput(b, 'frames', { kind: 'vectors', inputSize: features }),
            over: new Linear(b, 'over', { inputSize: hidden, outputSize: 1 }),
          };
  }

  /** Reads X [B,V], or nothing. */
  encode(tape: Tape, inputs: readonly Float32Array[]): Memory {
    const B = inputs.length;
    const F = this.width;
    if (F === 0) return { B, context: null, state: undefined };
    const values = new Float32Array(B * F);
    inputs.forEach((x, b) => values.set(x, b * F));
    const x = input(tape, values, { T: 1, B, F });
    const context = this.encoder ? activation(tape, this.encoder.forward(tape, x), 'relu') : x;
    return { B, context, state: this.bridge?.forward(tape, context) };
  }

  /** Reads what was written before, [T,B,E]; what the output layers read at each step. */
  #decode(
    tape: Tape,
    { context }: Memory,
    before: Rows,
    state: State | StateRows | undefined,
    lengths?: ArrayLike<number>,
  ): Rows {
    const { pass, inputDropout, outputDropout } = this.settings;
    const { random } = this.b;
    let x = dropout(tape, random, before, inputDropout);
    if (context && pass !== 'state') x = concat(tape, [x, expand(tape, context, { T: before.T, lengths })]);
    return dropout(tape, random, this.decoder.forward(tape, x, state).output, outputDropout);
  }

  /** Logits of what comes after each of the tokens [T,B], [T,B,V+1]. */
  #logits(
    tape: Tape,
    { embedding }: Tokens,
    memory: Memory,
    tokens: ArrayLike<number>,
    T: number,
    state: State | StateRows | undefined,
    lengths?: ArrayLike<number>,
  ): Rows {
    const before = embedding.forward(tape, tokens, { T, B: memory.B, lengths });
    return this.head.forward(tape, this.#decode(tape, memory, before, state, lengths));
  }

  /**
   * The losses, the right tokens or frames being read. Of tokens: nats per token, the end included. Of frames two, both in nats per
   * frame: of the numbers of a frame, the sum over its bits or half the squared distance (a normal distribution of variance 1, without
   * its constant); and of whether the sequence is over, before each frame and at the end.
   */
  losses(tape: Tape, memory: Memory, targets: readonly Target[]): { loss: Loss; weight: number }[] {
    const { written } = this;
    if (written.kind !== 'tokens') return this.#frameLosses(tape, written, memory, targets);
    const ids = targets.map((target) => target.ids);
    const { T, lengths, tokens, classes } = shifted(this, ids);
    const logits = this.#logits(tape, written, memory, tokens, T, memory.state, lengths);
    return [{ loss: crossEntropyLoss(tape, logits, classes), weight: 1 }];
  }

  #frameLosses(tape: Tape, { kind, over }: Frames, memory: Memory, targets: readonly Target[]) {
    // step 0 reads zeros, the last one predicts the end only
    const B = targets.length;
    const F = this.outputSize;
    const steps = targets.map(({ length }) => length);
    const lengths = steps.map((length) => length + 1);
    const T = Math.max(...lengths);
    const before = new Float32Array(T * B * F);
    const after = new Float32Array(T * B * F);
    const ends = new Float32Array(T * B);
    targets.forEach(({ length, values }, b) => {
      for (let t = 0; t < length; t++) {
        const frame = values.subarray(t * F, (t + 1) * F);
        after.set(frame, (t * B + b) * F);
        before.set(frame, ((t + 1) * B + b) * F);
      }
      ends[length * B + b] = 1;
    });
    const x = input(tape, before, { T, B, F, lengths });
    const y = this.#decode(tape, memory, x, memory.state, lengths);
    const frames = tape.own({ ...this.head.forward(tape, y), lengths: lengthsOf(tape, steps, T, B) });
    const logits = over.forward(tape, y);
    const loss = kind === 'bits' ? bceWithLogitsLoss(tape, frames, after) : mseLoss(tape, frames, after);
    const n = steps.reduce((sum, length) => sum + length, 0);
    return [
      { loss, weight: kind === 'bits' ? F : F / 2 },
      { loss: bceWithLogitsLoss(tape, logits, ends), weight: (n + B) / n },
    ];
  }

  /** Writes for a batch until each sequence is over or at `maxLength`. */
  write(tape: Tape, memory: Memory, maxLength: number, choice: Choice): Draft[] {
    const { written } = this;
    const { B } = memory;
    const all = drafts(B);
    const state = startState(tape, this.decoder, memory.state, B);
    if (written.kind === 'tokens') {
      writeTokens(tape, this, all, maxLength, (tokens) =>
        choice.token(tape, this.#logits(tape, written, memory, tokens, 1, state)),
      );
      return all;
    }
    const F = this.outputSize;
    let before: Float32Array = new Float32Array(B * F);
    for (let t = 0; t <= maxLength && all.some(({ complete }) => !complete); t++) {
      const { over, next } = tape.runtime.scope(() => {
        const y = this.#decode(tape, memory, input(tape, before, { T: 1, B, F }), state);
        return {
          over: choice.over(tape, written.over.forward(tape, y)),
          next: choice.frame(tape, this.head.forward(tape, y)),
        };
      });
      all.forEach((own, b) => {
        // at least one frame, as in every target
        own.complete ||= t > 0 && over[b] === 1;
        if (!own.complete && t < maxLength) own.ids.push(...next.subarray(b * F, (b + 1) * F));
      });
      before = next;
    }
    return all;
  }

  /** The initial state for one X. */
  initialState(tape: Tape, x: Float32Array): State {
    return startState(tape, this.decoder, this.encode(tape, [x]).state, 1);
  }

  /**
   * Reads a piece of one sequence and moves its state: of tokens the logits [1,1,V+1] of what comes next; of frames [1,1,F] the vector,
   * or the logits of the bits, and the logits of the end.
   *
   * @param first whether the sequence begins with this piece
   */
  read(
    tape: Tape,
    x: Float32Array,
    { length, ids, values }: Target,
    state: State,
    first: boolean,
  ): { next: Rows; over: Rows | null } {
    const { written, outputSize: F, start } = this;
    const { context } = this.encode(tape, [x]);
    const memory = { B: 1, context, state: undefined };
    const T = length + (first ? 1 : 0);
    const last = (rows: Rows) => (T > 1 ? slice(tape, rows, T - 1, T) : rows);
    if (written.kind === 'tokens') {
      const tokens = first ? [start, ...ids] : ids;
      return { next: last(this.#logits(tape, written, memory, tokens, T, state)), over: null };
    }
    const before = new Float32Array(T * F);
    before.set(values, first ? F : 0);
    const y = last(this.#decode(tape, memory, input(tape, before, { T, B: 1, F }), state));
    return { next: this.head.forward(tape, y), over: written.over.forward(tape, y) };
  }

  /** Hypotheses of tokens for one X, best first. */
  beam(tape: Tape, tokens: Tokens, x: Float32Array, options: Parameters<typeof search>[2]): Found[] {
    const memory = this.encode(tape, [x]);
    const first = startState(tape, this.decoder, memory.state, 1);
    return search(tape, this, options, first, (ids, state) => {
      const B = ids.length;
      const { context } = memory;
      const wide = { B, context: context && B > 1 ? copies(tape, context, B) : context, state: undefined };
      return this.#logits(tape, tokens, wide, ids, 1, state);
    });
  }
}
