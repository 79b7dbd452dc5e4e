/**
 * Vector → sequence, 1 → N: a decoder that starts from a vector X of numbers, of classes, or of both, and reads what it wrote. X enters
 * at the first step only, as the initial state, or at every step. Out come tokens (a caption), vectors, or frames of bits (music).
 */
import type { CellName } from '../cells/index.js';
import * as check from '../check.js';
import type { Runtime } from '../core/runtime.js';
import { dropout } from '../nn/dropout.js';
import { Embedding } from '../nn/embedding.js';
import { input, lengthsOf, read } from '../nn/input.js';
import { Linear } from '../nn/linear.js';
import { bceWithLogitsLoss, crossEntropyLoss, mseLoss } from '../nn/losses.js';
import { MLP } from '../nn/mlp.js';
import type { Builder, Model } from '../nn/model.js';
import { argmaxRows, sampleBits } from '../nn/predict.js';
import { checkRecurrent, RECURRENT_OPTIONS, type RecurrentOptions } from '../nn/recurrent/options.js';
import { Recurrent } from '../nn/recurrent/recurrent.js';
import type { State, StateRows } from '../nn/recurrent/state.js';
import { activation, concat, expand } from '../nn/rows.js';
import type { Loss, Rows, Tape } from '../tape.js';
import { Vocabulary } from '../text/vocabulary.js';
import type { Run } from '../train/run.js';
import { search } from './beam.js';
import { Bridge, checkWriting, copies, given, picking, shifted, type WriteOptions, writeTokens } from './decoding.js';
import {
  type BatchOptions,
  type BatchProgress,
  checkEpochs,
  type EpochOptions,
  type EpochProgress,
  fitExamples,
  inBatches,
} from './examples.js';
import { SequenceInput, type Vectors } from './inputs.js';
import { checkTask, Learner, openTask, storable, TASK_OPTIONS, type TaskOptions } from './learner.js';
import { checkClasses } from './sequence-classifier.js';

/** Options of the recurrent layers that a model which writes from left to right can have. */
type OneWay = Omit<RecurrentOptions, 'cell' | 'inputSize' | 'hiddenSize' | 'bidirectional' | 'merge' | 'reverse'>;

export interface SequenceGeneratorOptions extends TaskOptions, OneWay {
  /** Numbers of X, say the pixels of a picture. */
  inputSize?: number | undefined;
  /** Names of the classes that X can be of, one or several: a one for each in X, behind its numbers. */
  classes?: readonly string[] | undefined;
  /** What is written: a text, whose characters are the tokens; a list of tokens; or vectors, or frames of bits, of so many features. */
  target: string | readonly string[] | { readonly vectors: number } | { readonly bits: number };
  /** Features of a target token's vector, default 64; tokens only. */
  embeddingSize?: number | undefined;
  /** Default `'gru'`. */
  cell?: CellName | undefined;
  /** Units of each layer, or a list, default 128. */
  hiddenSize?: number | readonly number[] | undefined;
  /** Widths of layers with ReLU that X goes through first, default none. */
  hiddenLayers?: readonly number[] | undefined;
  /** Whether X makes the initial state (the default), is an input at every step, or both. */
  pass?: 'state' | 'input' | 'both' | undefined;
  /** Share of what is read at each step, and of what goes into the output layer, that is dropped in training, default 0. */
  inputDropout?: number | undefined;
  outputDropout?: number | undefined;
}

/** What it was created with, but for its runtime and seed. */
export type SequenceGeneratorConfig = Omit<SequenceGeneratorOptions, keyof TaskOptions>;

const OWN = [
  'inputSize',
  'classes',
  'target',
  'embeddingSize',
  'hiddenLayers',
  'pass',
  'inputDropout',
  'outputDropout',
] as const;
const STACK = Object.keys(RECURRENT_OPTIONS).filter(
  (key) => !['inputSize', 'bidirectional', 'merge', 'reverse'].includes(key),
);
const KEPT = [...OWN, ...STACK];
const TASK = 'sequence-generator';

/** X: a class, a list of classes, or numbers; both by their names where it has both. */
export type GeneratorInput =
  | string
  | readonly string[]
  | ArrayLike<number>
  | { readonly values: ArrayLike<number>; readonly classes: string | readonly string[] };

export interface GeneratorExample {
  readonly input: GeneratorInput;
  /** A text or a list of tokens; or vectors or frames [T,F], one after the other or as a list. */
  readonly target: string | readonly string[] | Vectors;
}

export interface Generated {
  /** Where tokens are written; else empty. */
  readonly text: string;
  readonly tokens: readonly string[];
  /** [T,F] the vectors, or the frames as zeros and ones; empty for tokens. */
  readonly vectors: readonly Float32Array[];
  /** Sum of the tokens' log-probabilities, the end's included; NaN but for what a beam found. */
  readonly logProbability: number;
  /** Whether it came to its end before `maxLength`. */
  readonly complete: boolean;
}

export interface GeneratorReport {
  /** Nats per token, ends included; mean square per number; or nats per frame, all bits together. What comes before is the right one. */
  readonly loss: number;
  /** Nats per step for whether the sequence ends there; NaN for tokens, whose end is a token. */
  readonly endLoss: number;
  /** Share of targets that greedy writing gets exactly; NaN for vectors. */
  readonly exact: number;
}

/** The options with every default filled in. */
interface Settings {
  readonly inputSize: number;
  readonly classes: readonly string[];
  readonly kind: 'tokens' | 'vectors' | 'bits';
  readonly tokens: readonly string[];
  /** Features of what is written: classes of tokens and the end, or those of a vector. */
  readonly outputs: number;
  readonly embeddingSize: number;
  readonly stack: Omit<RecurrentOptions, 'inputSize'>;
  readonly hiddenLayers: readonly number[];
  readonly pass: 'state' | 'input' | 'both';
  readonly inputDropout: number;
  readonly outputDropout: number;
}

/** A target as numbers: tokens, or vectors. */
type Target = { readonly length: number; readonly ids: Int32Array; readonly values: Float32Array };

/** What the decoder sees of X. */
interface Memory {
  readonly context: Rows;
  readonly state: StateRows | undefined;
}

class Layers {
  readonly encoder: MLP | null;
  readonly bridge: Bridge | null;
  readonly embedding: Embedding | null;
  readonly decoder: Recurrent;
  readonly head: Linear;
  /** Whether the sequence is over, where no token says it. */
  readonly over: Linear | null;
  readonly vocabulary: Vocabulary | null;
  readonly frames: SequenceInput | null;
  readonly end: number;
  readonly start: number;

  constructor(
    readonly b: Builder,
    readonly settings: Settings,
  ) {
    const { inputSize, classes, kind, tokens, outputs, embeddingSize, stack, hiddenLayers, pass } = settings;
    const width = inputSize + classes.length;
    const size = hiddenLayers[hiddenLayers.length - 1] ?? width;
    this.end = tokens.length;
    this.start = tokens.length + 1;
    this.encoder = hiddenLayers.length
      ? new MLP(b, 'encoder', { inputSize: width, hiddenLayers: hiddenLayers.slice(0, -1), outputSize: size })
      : null;
    this.vocabulary = kind === 'tokens' ? new Vocabulary(tokens) : null;
    this.embedding = this.vocabulary
      ? new Embedding(b, 'embedding', { vocabularySize: tokens.length + 2, embeddingSize })
      : null;
    this.frames = this.vocabulary ? null : new SequenceInput(b, 'frames', { kind: 'vectors', inputSize: outputs });
    const read = this.vocabulary ? embeddingSize : outputs;
    this.decoder = new Recurrent(b, 'decoder', { ...stack, inputSize: read + (pass === 'state' ? 0 : size) });
    this.bridge = pass === 'input' ? null : new Bridge(b, 'bridge', size, this.decoder.stateSizes);
    const { outputSize: hidden } = this.decoder;
    this.head = new Linear(b, 'head', { inputSize: hidden, outputSize: outputs });
    this.over = this.vocabulary ? null : new Linear(b, 'over', { inputSize: hidden, outputSize: 1 });
  }

  /** Reads X [B,V]. */
  encode(tape: Tape, inputs: readonly Float32Array[]): Memory {
    const B = inputs.length;
    const F = inputs[0].length;
    const values = new Float32Array(B * F);
    inputs.forEach((x, b) => values.set(x, b * F));
    const x = input(tape, values, { T: 1, B, F });
    const context = this.encoder ? activation(tape, this.encoder.forward(tape, x), 'relu') : x;
    return { context, state: this.bridge?.forward(tape, context) };
  }

  /** Reads what was written before, [T,B,E]; what the output layers are given for each step. */
  decode(
    tape: Tape,
    { context }: Memory,
    before: Rows,
    state: State | StateRows | undefined,
    lengths?: ArrayLike<number>,
  ): Rows {
    const { pass, inputDropout, outputDropout } = this.settings;
    const { random } = this.b;
    let x = dropout(tape, random, before, inputDropout);
    if (pass !== 'state') x = concat(tape, [x, expand(tape, context, before.T, lengths)]);
    return dropout(tape, random, this.decoder.forward(tape, x, state).output, outputDropout);
  }

  /** Logits of what comes after each of the tokens [T,B], [T,B,V+1]. */
  logits(
    tape: Tape,
    memory: Memory,
    tokens: ArrayLike<number>,
    T: number,
    state: State | StateRows | undefined,
    lengths?: ArrayLike<number>,
  ): Rows {
    const before = (this.embedding as Embedding).forward(tape, tokens, { T, B: memory.context.B, lengths });
    return this.head.forward(tape, this.decode(tape, memory, before, state, lengths));
  }

  /** What is to be minimised, the right thing being read: of what is written, and of its end where no token says it. */
  losses(tape: Tape, memory: Memory, targets: readonly Target[]): { loss: Loss; weight: number }[] {
    const { kind, outputs: F } = this.settings;
    if (kind === 'tokens') {
      const { T, lengths, tokens, classes } = shifted(
        this,
        targets.map(({ ids }) => ids),
      );
      const logits = this.logits(tape, memory, tokens, T, memory.state, lengths);
      return [{ loss: crossEntropyLoss(tape, logits, classes), weight: 1 }];
    }
    // step 0 reads zeros, the last one foretells nothing but the end
    const B = targets.length;
    const lengths = targets.map(({ length }) => length + 1);
    const T = Math.max(...lengths);
    const before = new Float32Array(T * B * F);
    const after = new Float32Array(T * B * F);
    const over = new Float32Array(T * B);
    targets.forEach(({ length, values }, b) => {
      for (let t = 0; t < length; t++) {
        const frame = values.subarray(t * F, (t + 1) * F);
        after.set(frame, (t * B + b) * F);
        before.set(frame, ((t + 1) * B + b) * F);
      }
      over[length * B + b] = 1;
    });
    const x = input(tape, before, { T, B, F }, { lengths });
    const y = this.decode(tape, memory, x, memory.state, lengths);
    const inside = lengthsOf(
      tape,
      targets.map(({ length }) => length),
      T,
      B,
    );
    const frames = { ...this.head.forward(tape, y), lengths: inside };
    const ends = (this.over as Linear).forward(tape, y);
    return [
      { loss: kind === 'bits' ? bceWithLogitsLoss(tape, frames, after) : mseLoss(tape, frames, after), weight: 1 },
      { loss: bceWithLogitsLoss(tape, ends, over), weight: 1 },
    ];
  }
}

function checkOptions(options: SequenceGeneratorOptions): {
  settings: Settings;
  config: SequenceGeneratorConfig;
  seed: number;
} {
  check.options('options', options, [...KEPT, ...TASK_OPTIONS]);
  const seed = checkTask(options);
  const { inputSize = 0, classes, target, embeddingSize, cell = 'gru', hiddenSize = 128, hiddenLayers = [] } = options;
  const { pass = 'state', inputDropout = 0, outputDropout = 0 } = options;
  if (options.inputSize === undefined && classes === undefined) {
    throw new TypeError('inputSize or classes: X is made of numbers, of classes, or of both; neither was given');
  }
  if (options.inputSize !== undefined) check.whole('inputSize', inputSize);
  const names = classes === undefined ? [] : checkClasses('classes', classes);
  const { kind, tokens, outputs } = checkTarget(target);
  if (embeddingSize !== undefined && kind !== 'tokens')
    throw new TypeError(`embeddingSize: goes with tokens; ${kind} are not looked up`);
  check.whole('embeddingSize', embeddingSize ?? 64);
  if (!Array.isArray(hiddenLayers)) check.fail('hiddenLayers', 'a list of widths', hiddenLayers);
  hiddenLayers.forEach((width, i) => check.whole(`hiddenLayers[${i}]`, width));
  check.oneOf('pass', pass, ['state', 'input', 'both']);
  for (const [key, rate] of Object.entries({ inputDropout, outputDropout })) {
    if (check.number(key, rate, 0) >= 1) check.fail(key, 'a number below 1', rate);
  }
  const stack = { ...storable(options, STACK), cell, hiddenSize } as Omit<RecurrentOptions, 'inputSize'>;
  checkRecurrent('options', { ...stack, inputSize: 1 });
  if (options.initialState === 'learned' && pass !== 'input')
    throw new RangeError(`initialState: 'learned' goes with pass: 'input'; here X makes the initial state`);
  return {
    seed,
    config: {
      ...storable(options, KEPT),
      ...(kind === 'tokens' ? { target: tokens } : {}),
    } as SequenceGeneratorConfig,
    settings: {
      inputSize,
      classes: names,
      kind,
      tokens,
      outputs,
      embeddingSize: embeddingSize ?? 64,
      stack,
      hiddenLayers,
      pass,
      inputDropout,
      outputDropout,
    },
  };
}

function checkTarget(target: SequenceGeneratorOptions['target']): Pick<Settings, 'kind' | 'tokens' | 'outputs'> {
  if (typeof target === 'string' || Array.isArray(target)) {
    const { tokens } = new Vocabulary(target as string | readonly string[]);
    return { kind: 'tokens', tokens, outputs: tokens.length + 1 };
  }
  const kinds = ['vectors', 'bits'] as const;
  const kind = kinds.find((key) => Object.keys(target ?? {}).join() === key);
  if (!kind) return check.fail('target', 'tokens, { vectors: features } or { bits: features }', target);
  const features = (target as Record<string, number>)[kind];
  return { kind, tokens: [], outputs: check.whole(`target.${kind}`, features) };
}

/** Ones where they are likelier than zeros. */
function likelier(tape: Tape, logits: Rows): Float32Array {
  return read(tape, logits).map((x) => (x > 0 ? 1 : 0));
}

export class SequenceGenerator {
  /** What it was created with. */
  readonly config: SequenceGeneratorConfig;
  readonly #learner: Learner<Layers>;

  private constructor(learner: Learner<Layers>, config: SequenceGeneratorConfig) {
    this.#learner = learner;
    this.config = config;
  }

  /**
   * A model with fresh weights.
   *
   * @throws TypeError, RangeError for options that are none; UnsupportedError where WebAssembly SIMD cannot be had
   */
  static async create(options: SequenceGeneratorOptions): Promise<SequenceGenerator> {
    const { config, settings, seed } = checkOptions(options);
    return new SequenceGenerator(await Learner.create({ ...options, seed }, (b) => new Layers(b, settings)), config);
  }

  get #settings(): Settings {
    return this.model.layers.settings;
  }

  get model(): Model<Layers> {
    return this.#learner.model;
  }

  get runtime(): Runtime {
    return this.#learner.runtime;
  }

  /**
   * Learns from examples, shuffled anew for each pass, what comes before being right (teacher forcing). Called again it goes on, also
   * after `save` and `load`.
   *
   * @throws before anything is changed: RangeError, TypeError for examples that are none; NonFiniteError
   */
  fit(examples: readonly GeneratorExample[], options: EpochOptions = {}): Run<EpochProgress, void> {
    checkEpochs(options);
    const { inputs, targets } = this.#encode(examples);
    const lengths = targets.map(({ length }) => length + 1);
    return fitExamples(this.#learner, lengths, options, (tape, layers, indices) => {
      const memory = layers.encode(
        tape,
        Array.from(indices, (i) => inputs[i]),
      );
      return layers.losses(
        tape,
        memory,
        Array.from(indices, (i) => targets[i]),
      );
    });
  }

  /**
   * How well it does on examples.
   *
   * @param options `maxLength` of what is written, default the longest target; `batchSize`, default 64; `signal`
   */
  evaluate(
    examples: readonly GeneratorExample[],
    options: BatchOptions & { maxLength?: number } = {},
  ): Run<BatchProgress, GeneratorReport> {
    const { inputs, targets } = this.#encode(examples);
    const { maxLength = targets.reduce((most, { length }) => Math.max(most, length), 0) + 1, ...rest } = options;
    check.whole('maxLength', maxLength);
    const { kind, outputs } = this.#settings;
    const sums = { loss: 0, end: 0, steps: 0, ends: 0, exact: 0 };
    const work = (indices: Int32Array) => {
      const own = Array.from(indices, (i) => targets[i]);
      const given = Array.from(indices, (i) => inputs[i]);
      const steps = own.reduce((n, { length }) => n + length, 0);
      const ends = steps + own.length;
      this.model.forward((tape, layers) => {
        const [loss, end] = layers.losses(tape, layers.encode(tape, given), own);
        sums.loss += loss.loss.value * (kind === 'tokens' ? ends : steps);
        sums.end += (end?.loss.value ?? Number.NaN) * ends;
      });
      sums.steps += kind === 'tokens' ? ends : steps;
      sums.ends += ends;
      if (kind === 'vectors') return;
      const written =
        kind === 'tokens' ? this.#write(given, maxLength, argmaxRows) : this.#frames(given, maxLength, likelier);
      written.forEach(({ values, complete }, n) => {
        const truth = kind === 'tokens' ? own[n].ids : own[n].values;
        if (complete && values.length === truth.length && values.every((v, i) => v === truth[i])) sums.exact++;
      });
    };
    const lengths = targets.map(({ length }) => length);
    return inBatches(lengths, rest, work, () => ({
      loss: (sums.loss / sums.steps) * (kind === 'bits' ? outputs : 1),
      endLoss: sums.end / sums.ends,
      exact: kind === 'vectors' ? Number.NaN : sums.exact / targets.length,
    }));
  }

  /**
   * Sequences for vectors, in their order. Of bits each is 1 where that is likelier, or drawn by itself with `sample`; vectors are what
   * they are.
   *
   * @param options `topK`, `topP` and what belongs to a beam go with tokens only
   */
  predict(inputs: readonly GeneratorInput[], options: WriteOptions = {}): Run<BatchProgress, Generated[]> {
    const { kind } = this.#settings;
    const how = checkWriting(options, this.model);
    const tokensOnly = (['topK', 'topP', 'beamWidth', 'lengthNormalization'] as const).find(
      (key) => options[key] !== undefined,
    );
    if (tokensOnly && kind !== 'tokens') throw new RangeError(`${tokensOnly}: goes with tokens, not with ${kind}`);
    if (how.sample && kind === 'vectors') throw new RangeError('sample: vectors are not drawn');
    if (!Array.isArray(inputs)) check.fail('inputs', 'a list of inputs', inputs);
    const encoded = inputs.map((x, i) => this.#input(`inputs[${i}]`, x));
    const results: Generated[] = new Array(inputs.length);
    const { maxLength, beamWidth, lengthNormalization: alpha, random, drawing } = how;
    const bits = (tape: Tape, logits: Rows) =>
      how.sample ? sampleBits(tape, random, logits, drawing.temperature) : likelier(tape, logits);
    const work = (indices: Int32Array) => {
      if (beamWidth > 1) {
        for (const i of indices) results[i] = this.#beam(encoded[i], { width: beamWidth, maxLength, alpha });
        return;
      }
      const own = Array.from(indices, (i) => encoded[i]);
      const written =
        kind === 'tokens'
          ? this.#write(own, maxLength, picking(how))
          : this.#frames(own, maxLength, kind === 'bits' ? bits : read, bits);
      indices.forEach((i, n) => {
        results[i] = this.#generated(written[n].values, written[n].complete);
      });
    };
    return inBatches(new Int32Array(inputs.length), how.batch, work, () => results);
  }

  #generated(values: readonly number[], complete: boolean, logProbability = Number.NaN): Generated {
    const { vocabulary, settings } = this.model.layers;
    const { outputs: F } = settings;
    return {
      text: vocabulary?.decode(values) ?? '',
      tokens: vocabulary ? values.map((id) => vocabulary.tokens[id]) : [],
      vectors: vocabulary
        ? []
        : Array.from({ length: values.length / F }, (_, t) => Float32Array.from(values.slice(t * F, (t + 1) * F))),
      logProbability,
      complete,
    };
  }

  /** Writes tokens for a batch, `pick` choosing a class for each row of logits. */
  #write(inputs: readonly Float32Array[], maxLength: number, pick: (tape: Tape, logits: Rows) => Int32Array) {
    const written = inputs.map(() => ({ ids: [] as number[], complete: false }));
    this.model.forward((tape, layers) => {
      const memory = layers.encode(tape, inputs);
      const state = given(tape, layers.decoder, memory.state, inputs.length);
      writeTokens(tape, layers, written, maxLength, (tokens) =>
        pick(tape, layers.logits(tape, memory, tokens, 1, state)),
      );
    });
    return written.map(({ ids, complete }) => ({ values: ids, complete }));
  }

  /**
   * Writes frames for a batch, until each is over or at `maxLength`.
   *
   * @param frame the next one of each, from the outputs [1,B,F]
   * @param draw whether it is over, by default where that is likelier
   */
  #frames(
    inputs: readonly Float32Array[],
    maxLength: number,
    frame: (tape: Tape, outputs: Rows) => Float32Array,
    draw = likelier,
  ): { values: number[]; complete: boolean }[] {
    const B = inputs.length;
    const { outputs: F } = this.#settings;
    const written = inputs.map(() => ({ values: [] as number[], complete: false }));
    this.model.forward((tape, layers) => {
      const memory = layers.encode(tape, inputs);
      const state = given(tape, layers.decoder, memory.state, B);
      let before: Float32Array = new Float32Array(B * F);
      for (let t = 0; t <= maxLength && written.some(({ complete }) => !complete); t++) {
        const { over, next } = tape.runtime.scope(() => {
          const y = layers.decode(tape, memory, input(tape, before, { T: 1, B, F }), state);
          return {
            over: draw(tape, (layers.over as Linear).forward(tape, y)),
            next: frame(tape, layers.head.forward(tape, y)),
          };
        });
        written.forEach((own, b) => {
          // there is something at least, as in what was learned
          own.complete ||= t > 0 && over[b] === 1;
          if (!own.complete && t < maxLength) own.values.push(...next.subarray(b * F, (b + 1) * F));
        });
        before = next;
      }
    });
    return written;
  }

  /** The best that a beam finds for one X. */
  #beam(x: Float32Array, how: { width: number; maxLength: number; alpha: number }): Generated {
    return this.model.forward((tape, layers) => {
      const memory = layers.encode(tape, [x]);
      const first = given(tape, layers.decoder, memory.state, 1);
      const { start, end } = layers;
      const [best] = search(tape, { ...how, start, end }, first, (tokens, state) => {
        const B = tokens.length;
        const wide = B === 1 ? memory : { context: copies(tape, memory.context, B), state: undefined };
        return layers.logits(tape, wide, tokens, 1, state);
      });
      return this.#generated(best.ids, best.complete, best.logProbability);
    });
  }

  #encode(examples: readonly GeneratorExample[]): { inputs: Float32Array[]; targets: Target[] } {
    if (!Array.isArray(examples)) check.fail('examples', 'a list of { input, target }', examples);
    if (examples.length === 0) throw new RangeError('examples: there are none');
    return {
      inputs: examples.map((example, i) => this.#input(`examples[${i}].input`, example?.input)),
      targets: examples.map(({ target }, i) => this.#target(`examples[${i}].target`, target)),
    };
  }

  /** X as numbers. */
  #input(name: string, x: GeneratorInput): Float32Array {
    const { inputSize, classes } = this.#settings;
    const both = inputSize > 0 && classes.length > 0;
    const encoded = new Float32Array(inputSize + classes.length);
    if (both) check.options(name, x, ['values', 'classes']);
    const parts = x as { values: ArrayLike<number>; classes: string | readonly string[] };
    if (inputSize > 0) {
      const place = both ? `${name}.values` : name;
      const values = both ? parts.values : (x as ArrayLike<number>);
      if (typeof values !== 'object' || values?.length !== inputSize) check.fail(place, `${inputSize} numbers`, values);
      for (let i = 0; i < inputSize; i++) encoded[i] = check.number(`${place}[${i}]`, values[i]);
    }
    if (classes.length > 0) {
      const place = both ? `${name}.classes` : name;
      const own = both ? parts.classes : (x as string | readonly string[]);
      if (typeof own !== 'string' && !Array.isArray(own)) check.fail(place, 'a class or a list of classes', own);
      for (const c of [own].flat()) {
        const i = classes.indexOf(c);
        if (i < 0) throw new RangeError(`${place}: ${check.show(c)} is not among the classes ${check.list(classes)}`);
        encoded[inputSize + i] = 1;
      }
    }
    return encoded;
  }

  #target(name: string, target: GeneratorExample['target']): Target {
    const { vocabulary, frames } = this.model.layers;
    const none = new Float32Array();
    if (vocabulary) {
      const ids = vocabulary.encode(name, target as string | readonly string[]);
      return { length: ids.length, ids, values: none };
    }
    const { length, values } = (frames as SequenceInput).encode(name, target as Vectors);
    const numbers = values ?? none;
    if (this.#settings.kind === 'bits') {
      const odd = numbers.findIndex((v) => v !== 0 && v !== 1);
      if (odd >= 0) throw new RangeError(`${name}: expected zeros and ones, number ${odd} is ${numbers[odd]}`);
    }
    return { length, ids: new Int32Array(), values: numbers };
  }

  /** The model as a safetensors file: with everything that training needs to go on to the same bits, or the weights alone. */
  save(options: { weightsOnly?: boolean } = {}): Uint8Array<ArrayBuffer> {
    return this.#learner.save(TASK, this.config, options);
  }

  /** @throws FormatError for a file that is damaged or holds something else */
  static async load(
    bytes: Uint8Array | ArrayBuffer,
    options: Omit<TaskOptions, 'seed'> = {},
  ): Promise<SequenceGenerator> {
    const { file, given: own } = openTask(bytes, TASK, options);
    const { learner, config } = await Learner.load(file, own, options, (kept) => {
      const { config, settings } = checkOptions(kept as unknown as SequenceGeneratorOptions);
      return { config, build: (b) => new Layers(b, settings) };
    });
    return new SequenceGenerator(learner, config);
  }

  /** Gives all memory back. The model cannot be used afterwards. */
  dispose(): void {
    this.#learner.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}
