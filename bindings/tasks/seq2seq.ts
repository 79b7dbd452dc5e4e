/**
 * Sequence → sequence of another length: an encoder, or several, and a decoder that reads what it wrote. What the encoders found, c,
 * becomes the decoder's initial state, an input at every step, or both; with attention the decoder looks back at all their steps.
 */
import type { CellName } from '../cells/index.js';
import * as check from '../check.js';
import type { Runtime } from '../core/runtime.js';
import { Attention, type AttentionMemory } from '../nn/attention.js';
import { dropout } from '../nn/dropout.js';
import { Embedding } from '../nn/embedding.js';
import { read } from '../nn/input.js';
import { Linear } from '../nn/linear.js';
import { crossEntropyLoss } from '../nn/losses.js';
import type { Builder, Model } from '../nn/model.js';
import { meanPool } from '../nn/pool.js';
import { argmaxRows } from '../nn/predict.js';
import { checkRecurrent, RECURRENT_OPTIONS, type RecurrentOptions } from '../nn/recurrent/options.js';
import { Recurrent } from '../nn/recurrent/recurrent.js';
import type { State, StateRows } from '../nn/recurrent/state.js';
import { activation, concat, expand } from '../nn/rows.js';
import type { Loss, Rows, Tape } from '../tape.js';
import { Vocabulary } from '../text/vocabulary.js';
import type { Run } from '../train/run.js';
import { type Hypothesis, search } from './beam.js';
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
import {
  type Encoded,
  INPUT_OPTIONS,
  type InputConfig,
  type InputOptions,
  inputConfig,
  inputOptions,
  inputWidth,
  type Sequence,
  SequenceInput,
} from './inputs.js';
import { checkTask, Learner, openTask, storable, TASK_OPTIONS, type TaskOptions } from './learner.js';

type Stack = Omit<RecurrentOptions, 'cell' | 'inputSize' | 'hiddenSize'>;

export interface Seq2SeqOptions extends TaskOptions, Stack {
  /** What the encoder reads, or, by their names, what several encoders read. */
  source: InputOptions | Readonly<Record<string, InputOptions>>;
  /** What the decoder writes: a text, whose characters are the tokens, or a list of tokens. */
  target: string | readonly string[];
  /** Features of a target token's vector, default 64. */
  embeddingSize?: number | undefined;
  /** Default `'gru'`. */
  cell?: CellName | undefined;
  /** Units of each layer, or a list, default 128. `bidirectional` and `merge` speak of the encoders. */
  hiddenSize?: number | readonly number[] | undefined;
  /** c: the encoder's final state (the default), an affine map and tanh of it, or the mean of all its outputs. */
  context?: 'last' | 'affine' | 'mean' | undefined;
  /** Whether c makes the decoder's initial state (the default), is an input at every step, or both. */
  pass?: 'state' | 'input' | 'both' | undefined;
  /** How the decoder looks back at the encoder's outputs, step by step; absent: it does not. */
  attention?: 'dot' | 'general' | 'additive' | undefined;
  /** Share of the inputs, and of what goes into the output layer, that is dropped in training, default 0. */
  inputDropout?: number | undefined;
  outputDropout?: number | undefined;
}

/** What it was created with, but for its runtime and seed. */
export type Seq2SeqConfig = Omit<Seq2SeqOptions, keyof TaskOptions>;

const OWN = [
  'source',
  'target',
  'embeddingSize',
  'context',
  'pass',
  'attention',
  'inputDropout',
  'outputDropout',
] as const;
const STACK = Object.keys(RECURRENT_OPTIONS).filter((key) => key !== 'inputSize' && key !== 'reverse');
const KEPT = [...OWN, ...STACK];
const TASK = 'seq2seq';

export interface Seq2SeqExample {
  /** A sequence, or one for each encoder by their names. */
  readonly source: Sequence | Readonly<Record<string, Sequence>>;
  readonly target: string | readonly string[];
}

export interface Seq2SeqFitOptions extends EpochOptions {
  /**
   * Share of the steps at which the decoder reads the right token and not the one it would have written, default 1; or from one share
   * to another over so many updates (scheduled sampling, Bengio et al. 2015, arXiv:1506.03099v3). Below 1 it goes step by step, and
   * not together with `variationalDropout` or `weightDrop`, whose masks are one for all steps.
   */
  teacherForcing?: number | { readonly from: number; readonly to: number; readonly steps: number } | undefined;
}

export interface Translation {
  readonly text: string;
  readonly tokens: readonly string[];
  /** Sum of the tokens' log-probabilities, the end's included; NaN where it was not asked for: with greedy and drawn ones. */
  readonly logProbability: number;
  /** Whether it came to its end before `maxLength`. */
  readonly complete: boolean;
  /**
   * With attention and without a beam: [tokens][source steps] of each encoder, by their names, '' where there is one. Each row adds up
   * to 1; a last one, where it came to its end, is that of the end.
   */
  readonly attention: Readonly<Record<string, readonly Float32Array[]>>;
}

export interface Seq2SeqReport {
  /** Mean over target tokens and ends, the right ones being read. */
  readonly loss: number;
  /** Share of targets that greedy decoding writes exactly. */
  readonly exact: number;
}

interface Settings {
  readonly sources: readonly { readonly name: string; readonly input: InputConfig }[];
  readonly target: readonly string[];
  readonly embeddingSize: number;
  readonly encoder: Omit<RecurrentOptions, 'inputSize'>;
  readonly decoder: Omit<RecurrentOptions, 'inputSize'>;
  readonly context: 'last' | 'affine' | 'mean';
  readonly pass: 'state' | 'input' | 'both';
  readonly attention: 'dot' | 'general' | 'additive' | undefined;
  readonly inputDropout: number;
  readonly outputDropout: number;
}

/** What the decoder sees of the sources. */
interface Memory {
  readonly context: Rows;
  readonly keys: readonly AttentionMemory[];
  readonly state: StateRows | undefined;
}

class Layers {
  readonly inputs: readonly SequenceInput[];
  readonly encoders: readonly Recurrent[];
  readonly affine: readonly Linear[];
  readonly bridge: Bridge | null;
  readonly embedding: Embedding;
  readonly decoder: Recurrent;
  readonly attentions: readonly Attention[];
  readonly combine: Linear | null;
  readonly head: Linear;
  readonly vocabulary: Vocabulary;
  /** The class that ends a sequence, and the token that begins one. */
  readonly end: number;
  readonly start: number;

  constructor(
    readonly b: Builder,
    readonly settings: Settings,
  ) {
    const { sources, target, embeddingSize, encoder, decoder, context, pass, attention: score } = settings;
    const named = (prefix: string, name: string) => (name ? `${prefix}.${name}` : prefix);
    this.vocabulary = new Vocabulary(target);
    this.end = target.length;
    this.start = target.length + 1;
    this.inputs = sources.map(({ name, input: own }) => new SequenceInput(b, named('source', name), own));
    this.encoders = sources.map(
      ({ name }, i) => new Recurrent(b, named('encoder', name), { ...encoder, inputSize: this.inputs[i].size }),
    );
    const hidden = [decoder.hiddenSize].flat();
    const size = hidden[hidden.length - 1] as number;
    this.affine =
      context === 'affine'
        ? this.encoders.map(
            ({ finalSize }, i) =>
              new Linear(b, named('context', sources[i].name), { inputSize: finalSize, outputSize: size }),
          )
        : [];
    const contextSize = this.encoders.reduce(
      (n, rnn) => n + { last: rnn.finalSize, affine: size, mean: rnn.outputSize }[context],
      0,
    );
    this.embedding = new Embedding(b, 'embedding', { vocabularySize: target.length + 2, embeddingSize });
    const inputSize = embeddingSize + (pass === 'state' ? 0 : contextSize);
    this.decoder = new Recurrent(b, 'decoder', { ...decoder, inputSize });
    this.bridge = pass === 'input' ? null : new Bridge(b, 'bridge', contextSize, this.decoder.stateSizes);
    const querySize = this.decoder.outputSize;
    this.attentions = score
      ? this.encoders.map(({ outputSize: keySize }, i) => {
          const attentionSize = score === 'additive' ? { attentionSize: querySize } : {};
          return new Attention(b, named('attention', sources[i].name), { score, querySize, keySize, ...attentionSize });
        })
      : [];
    const looked = this.encoders.reduce((n, { outputSize }) => n + outputSize, 0);
    this.combine = score
      ? new Linear(b, 'combine', { inputSize: looked + querySize, outputSize: querySize, bias: false })
      : null;
    this.head = new Linear(b, 'head', { inputSize: querySize, outputSize: target.length + 1 });
  }

  /** Reads the sources: sources[encoder][example]. */
  encode(tape: Tape, sources: readonly (readonly Encoded[])[]): Memory {
    const { context, inputDropout } = this.settings;
    const outputs: Rows[] = [];
    const contexts = this.encoders.map((rnn, i) => {
      const x = dropout(tape, this.b.random, this.inputs[i].forward(tape, sources[i]), inputDropout);
      const { output, h } = rnn.forward(tape, x);
      outputs.push(output);
      if (context === 'mean') return meanPool(tape, output);
      const last = h.slice(rnn.bidirectional ? -2 : -1);
      const final = last.length > 1 ? concat(tape, last) : last[0];
      return context === 'affine' ? activation(tape, this.affine[i].forward(tape, final), 'tanh') : final;
    });
    const all = contexts.length > 1 ? concat(tape, contexts) : contexts[0];
    const state = this.bridge?.forward(tape, all);
    return { context: all, keys: this.attentions.map((attention, i) => attention.prepare(tape, outputs[i])), state };
  }

  /**
   * Reads target tokens [T,B]; logits of what comes after each, [T,B,V+1].
   *
   * @param state where to start: of the sources, or of the step before
   */
  decode(
    tape: Tape,
    { context, keys }: Memory,
    tokens: ArrayLike<number>,
    T: number,
    state: State | StateRows | undefined,
    lengths?: ArrayLike<number>,
  ): { logits: Rows; state: StateRows; weights: Rows[] } {
    const { pass, inputDropout, outputDropout } = this.settings;
    const { random } = this.b;
    let x = dropout(tape, random, this.embedding.forward(tape, tokens, { T, B: context.B, lengths }), inputDropout);
    if (pass !== 'state') x = concat(tape, [x, expand(tape, context, T, lengths)]);
    const result = this.decoder.forward(tape, x, state);
    let y = result.output;
    const weights: Rows[] = [];
    if (this.combine) {
      const looked = this.attentions.map((attention, i) => {
        const seen = attention.forward(tape, result.output, keys[i]);
        weights.push(seen.weights);
        return seen.context;
      });
      y = activation(tape, this.combine.forward(tape, concat(tape, [...looked, result.output])), 'tanh');
    }
    return { logits: this.head.forward(tape, dropout(tape, random, y, outputDropout)), state: result, weights };
  }
}

function checkOptions(options: Seq2SeqOptions): { settings: Settings; config: Seq2SeqConfig; seed: number } {
  check.options('options', options, [...KEPT, ...TASK_OPTIONS]);
  const seed = checkTask(options);
  const { embeddingSize = 64, cell = 'gru', hiddenSize = 128, context = 'last', pass = 'state', attention } = options;
  const { inputDropout = 0, outputDropout = 0, source } = options;
  if (typeof source !== 'object' || source === null)
    check.fail('source', 'options of an input, or several by their names', source);
  const single = ['vocabulary', 'features', 'inputSize'].some((key) => key in source);
  const named = single ? { '': source as InputOptions } : (source as Record<string, InputOptions>);
  const sources = Object.entries(named).map(([name, own]) => {
    if (!single && name === '') throw new RangeError('source: one has no name');
    const place = single ? 'source' : `source.${name}`;
    check.options(place, own, INPUT_OPTIONS);
    return { name, input: inputConfig(own, `${place}.`) };
  });
  if (sources.length === 0) throw new RangeError('source: there is none');
  const target = new Vocabulary(options.target, 'target').tokens;
  check.whole('embeddingSize', embeddingSize);
  check.oneOf('context', context, ['last', 'affine', 'mean']);
  check.oneOf('pass', pass, ['state', 'input', 'both']);
  if (attention !== undefined) check.oneOf('attention', attention, ['dot', 'general', 'additive']);
  for (const [key, rate] of Object.entries({ inputDropout, outputDropout })) {
    if (check.number(key, rate, 0) >= 1) check.fail(key, 'a number below 1', rate);
  }
  const encoder = { ...storable(options, STACK), cell, hiddenSize } as Omit<RecurrentOptions, 'inputSize'>;
  const { bidirectional, merge, initialState, ...others } = encoder;
  // what c makes need not be learned
  const decoder = pass === 'input' && initialState ? { ...others, initialState } : others;
  for (const { input: own } of sources) checkRecurrent('options', { ...encoder, inputSize: inputWidth(own) });
  const widths = [hiddenSize].flat();
  const width = (options.projectionSize || widths[widths.length - 1]) as number;
  if (attention === 'dot' && bidirectional && (merge ?? 'concat') === 'concat') {
    throw new RangeError(
      `attention: 'dot' and bidirectional: true with merge: 'concat' do not go together: queries have ${width} features, keys ${2 * width}; 'general' compares them`,
    );
  }
  const kept = sources.map(({ name, input: own }) => [name, inputOptions(own)] as const);
  return {
    seed,
    config: {
      ...storable(options, KEPT),
      source: single ? kept[0][1] : Object.fromEntries(kept),
      target,
    } as Seq2SeqConfig,
    settings: {
      sources,
      target,
      embeddingSize,
      encoder,
      decoder,
      context,
      pass,
      attention,
      inputDropout,
      outputDropout,
    },
  };
}

export class Seq2Seq {
  /** What it was created with. */
  readonly config: Seq2SeqConfig;
  readonly #learner: Learner<Layers>;

  private constructor(learner: Learner<Layers>, config: Seq2SeqConfig) {
    this.#learner = learner;
    this.config = config;
  }

  /**
   * A model with fresh weights.
   *
   * @throws TypeError, RangeError for options that are none; UnsupportedError where WebAssembly SIMD cannot be had
   */
  static async create(options: Seq2SeqOptions): Promise<Seq2Seq> {
    const { config, settings, seed } = checkOptions(options);
    return new Seq2Seq(await Learner.create({ ...options, seed }, (b) => new Layers(b, settings)), config);
  }

  get model(): Model<Layers> {
    return this.#learner.model;
  }

  get runtime(): Runtime {
    return this.#learner.runtime;
  }

  /**
   * Learns from examples, shuffled anew for each pass. Called again it goes on, also after `save` and `load`.
   *
   * @throws before anything is changed: RangeError, TypeError for examples that are none; NonFiniteError
   */
  fit(examples: readonly Seq2SeqExample[], options: Seq2SeqFitOptions = {}): Run<EpochProgress, void> {
    checkEpochs(options, ['teacherForcing']);
    const { teacherForcing = 1, ...rest } = options;
    const share = forcing(teacherForcing);
    const { variationalDropout, weightDrop } = this.config;
    if (teacherForcing !== 1 && (variationalDropout || weightDrop)) {
      const [key] = Object.entries({ variationalDropout, weightDrop }).find(([, rate]) => rate) as [string, number];
      throw new RangeError(
        `teacherForcing and ${key} do not go together: a decoder that reads what it wrote is run step by step, and would drop anew at each`,
      );
    }
    const { sources, targets } = this.#encode(examples);
    const lengths = targets.map((target, i) => target.length + sources.reduce((n, all) => n + all[i].length, 0));
    return fitExamples(this.#learner, lengths, rest, (tape, layers, indices) => {
      const memory = layers.encode(
        tape,
        sources.map((all) => Array.from(indices, (i) => all[i])),
      );
      const own = Array.from(indices, (i) => targets[i]);
      const right = share(this.#learner.optimizer?.steps ?? 0);
      return right === 1 ? forced(tape, layers, memory, own) : scheduled(tape, layers, memory, own, right);
    });
  }

  /**
   * How well it does on examples.
   *
   * @param options `maxLength` of what is written, default 100; `batchSize`, default 64; `signal`
   */
  evaluate(
    examples: readonly Seq2SeqExample[],
    options: BatchOptions & { maxLength?: number } = {},
  ): Run<BatchProgress, Seq2SeqReport> {
    check.options('evaluate', options, ['maxLength', 'batchSize', 'signal']);
    const { maxLength = 100, ...rest } = options;
    check.whole('maxLength', maxLength);
    const { sources, targets } = this.#encode(examples);
    let loss = 0;
    let tokens = 0;
    let exact = 0;
    const work = (indices: Int32Array) => {
      const own = Array.from(indices, (i) => targets[i]);
      const batch = sources.map((all) => Array.from(indices, (i) => all[i]));
      const count = own.reduce((n, target) => n + target.length + 1, 0);
      this.model.forward((tape, layers) => {
        const memory = layers.encode(tape, batch);
        loss += forced(tape, layers, memory, own).value * count;
      });
      tokens += count;
      const written = this.#write(batch, maxLength, (tape, logits) => argmaxRows(tape, logits));
      written.forEach(({ ids, complete }, n) => {
        if (complete && ids.length === own[n].length && ids.every((id, t) => id === own[n][t])) exact++;
      });
    };
    const lengths = targets.map((target) => target.length);
    return inBatches(lengths, rest, work, () => ({ loss: loss / tokens, exact: exact / targets.length }));
  }

  /** Targets for sources, in their order. */
  predict(sources: readonly Seq2SeqExample['source'][], options: WriteOptions = {}): Run<BatchProgress, Translation[]> {
    const how = checkWriting(options, this.model);
    const { maxLength, beamWidth, lengthNormalization } = how;
    if (!Array.isArray(sources)) check.fail('sources', 'a list of sources', sources);
    const encoded = this.#sources(sources, (i) => `sources[${i}]`);
    const results: Translation[] = new Array(sources.length);
    const work = (indices: Int32Array) => {
      if (beamWidth > 1) {
        for (const i of indices) {
          const [best] = this.#beam(
            encoded.map((all) => all[i]),
            beamWidth,
            maxLength,
            lengthNormalization,
          );
          results[i] = this.#translation(best, best.logProbability);
        }
        return;
      }
      const written = this.#write(
        encoded.map((all) => Array.from(indices, (i) => all[i])),
        maxLength,
        picking(how),
      );
      indices.forEach((i, n) => {
        results[i] = this.#translation(written[n], Number.NaN, written[n].attention);
      });
    };
    const lengths = sources.map((_, i) => encoded.reduce((n, all) => n + all[i].length, 0));
    return inBatches(lengths, how.batch, work, () => results);
  }

  /**
   * The best ways to translate one source, best first, by beam search.
   *
   * @param options `beamWidth`, default 5; `maxLength`, default 100; `lengthNormalization`, default 1
   */
  beam(
    source: Seq2SeqExample['source'],
    options: Pick<WriteOptions, 'beamWidth' | 'maxLength' | 'lengthNormalization'> = {},
  ): Translation[] {
    check.options('beam', options, ['beamWidth', 'maxLength', 'lengthNormalization']);
    const { beamWidth = 5, maxLength = 100, lengthNormalization = 1 } = options;
    check.whole('beamWidth', beamWidth);
    check.whole('maxLength', maxLength);
    check.number('lengthNormalization', lengthNormalization, 0);
    const encoded = this.#sources([source], () => 'source').map(([first]) => first);
    return this.#beam(encoded, beamWidth, maxLength, lengthNormalization).map((h) =>
      this.#translation(h, h.logProbability),
    );
  }

  #translation(
    { ids, complete }: { ids: readonly number[]; complete: boolean },
    logProbability: number,
    attention: Translation['attention'] = {},
  ): Translation {
    const { vocabulary } = this.model.layers;
    return {
      text: vocabulary.decode(ids),
      tokens: ids.map((id) => vocabulary.tokens[id]),
      logProbability,
      complete,
      attention,
    };
  }

  /** Writes for a batch of sources, `pick` choosing a class for each row of logits. */
  #write(
    sources: readonly (readonly Encoded[])[],
    maxLength: number,
    pick: (tape: Tape, logits: Rows) => Int32Array,
  ): { ids: number[]; complete: boolean; attention: Record<string, Float32Array[]> }[] {
    const B = sources[0].length;
    const written = Array.from({ length: B }, () => ({
      ids: [] as number[],
      complete: false,
      attention: {} as Record<string, Float32Array[]>,
    }));
    this.model.forward((tape, layers) => {
      const memory = layers.encode(tape, sources);
      const state = given(tape, layers.decoder, memory.state, B);
      writeTokens(tape, layers, written, maxLength, (tokens) => {
        const { logits, weights } = layers.decode(tape, memory, tokens, 1, state);
        weights.forEach((rows, k) => {
          const all = read(tape, rows);
          written.forEach(({ complete, attention }, b) => {
            if (complete) return;
            const { name } = layers.settings.sources[k];
            attention[name] ??= [];
            attention[name].push(all.slice(b * rows.F, b * rows.F + sources[k][b].length));
          });
        });
        return pick(tape, logits);
      });
    });
    return written;
  }

  /** Hypotheses for one source, best first. */
  #beam(source: readonly Encoded[], width: number, maxLength: number, alpha: number): Hypothesis[] {
    return this.model.forward((tape, layers) => {
      const { end, start } = layers;
      const memory = layers.encode(
        tape,
        source.map((own) => [own]),
      );
      const first = given(tape, layers.decoder, memory.state, 1);
      return search(tape, { width, maxLength, alpha, start, end }, first, (tokens, state) => {
        const wide = tokens.length === 1 ? memory : widened(tape, memory, tokens.length);
        return layers.decode(tape, wide, tokens, 1, state).logits;
      });
    });
  }

  #encode(examples: readonly Seq2SeqExample[]): { sources: Encoded[][]; targets: Int32Array[] } {
    if (!Array.isArray(examples)) check.fail('examples', 'a list of { source, target }', examples);
    if (examples.length === 0) throw new RangeError('examples: there are none');
    const { vocabulary } = this.model.layers;
    const sources = this.#sources(
      examples.map((example) => example?.source),
      (i) => `examples[${i}].source`,
    );
    return { sources, targets: examples.map(({ target }, i) => vocabulary.encode(`examples[${i}].target`, target)) };
  }

  /** Sources as numbers, encoder by encoder. */
  #sources(sources: readonly Seq2SeqExample['source'][], placeOf: (i: number) => string): Encoded[][] {
    const { inputs, settings } = this.model.layers;
    return settings.sources.map(({ name: own }, k) =>
      sources.map((source, i) => {
        const place = placeOf(i);
        if (own === '') return inputs[k].encode(place, source as Sequence);
        check.options(
          place,
          source,
          settings.sources.map((s) => s.name),
        );
        return inputs[k].encode(`${place}.${own}`, (source as Record<string, Sequence>)[own]);
      }),
    );
  }

  /** The model as a safetensors file: with everything that training needs to go on to the same bits, or the weights alone. */
  save(options: { weightsOnly?: boolean } = {}): Uint8Array<ArrayBuffer> {
    return this.#learner.save(TASK, this.config, options);
  }

  /** @throws FormatError for a file that is damaged or holds something else */
  static async load(bytes: Uint8Array | ArrayBuffer, options: Omit<TaskOptions, 'seed'> = {}): Promise<Seq2Seq> {
    const { file, given: own } = openTask(bytes, TASK, options);
    const { learner, config } = await Learner.load(file, own, options, (kept) => {
      const { config, settings } = checkOptions(kept as unknown as Seq2SeqOptions);
      return { config, build: (b) => new Layers(b, settings) };
    });
    return new Seq2Seq(learner, config);
  }

  /** Gives all memory back. The model cannot be used afterwards. */
  dispose(): void {
    this.#learner.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

/** Share of right tokens as a function of the updates made. */
function forcing(given: NonNullable<Seq2SeqFitOptions['teacherForcing']>): (step: number) => number {
  if (typeof given === 'number') {
    check.number('teacherForcing', given, 0, 1);
    return () => given;
  }
  check.options('teacherForcing', given, ['from', 'to', 'steps']);
  const { from, to, steps } = given;
  check.number('teacherForcing.from', from, 0, 1);
  check.number('teacherForcing.to', to, 0, 1);
  check.whole('teacherForcing.steps', steps);
  return (step) => from + (to - from) * Math.min(1, step / steps);
}

/** The loss where the decoder reads the right tokens: all steps in one call. */
function forced(tape: Tape, layers: Layers, memory: Memory, targets: readonly Int32Array[]): Loss {
  const { T, lengths, tokens, classes } = shifted(layers, targets);
  const { logits } = layers.decode(tape, memory, tokens, T, memory.state, lengths);
  return crossEntropyLoss(tape, logits, classes);
}

/** The loss where it reads the right token with probability `right`, else its own: step by step. */
function scheduled(tape: Tape, layers: Layers, memory: Memory, targets: readonly Int32Array[], right: number) {
  const { T, B, lengths, tokens, classes } = shifted(layers, targets);
  const { runtime } = tape;
  const coins = runtime.take(4 * T * B);
  layers.b.random.use('dropout', (...r) => runtime.core.fillUniform(coins, T * B, 0, 1, ...r));
  const u = runtime.read(coins, T * B);
  const total = lengths.reduce((n, length) => n + length, 0);
  let state: StateRows | undefined = memory.state;
  let own = new Int32Array(B);
  return Array.from({ length: T }, (_, t) => {
    const read = Int32Array.from({ length: B }, (_, b) =>
      t === 0 || u[t * B + b] < right ? tokens[t * B + b] : own[b],
    );
    const step = layers.decode(tape, memory, read, 1, state);
    state = step.state;
    own = argmaxRows(tape, step.logits).map((id) => (id === layers.end ? layers.start : id));
    const here = classes.slice(t * B, (t + 1) * B);
    const counted = here.reduce((n, c) => n + (c >= 0 ? 1 : 0), 0);
    return { loss: crossEntropyLoss(tape, step.logits, here), weight: counted / total };
  });
}

/** What one source left, as often as there are hypotheses. */
function widened(tape: Tape, { context, keys }: Memory, B: number): Memory {
  return {
    context: copies(tape, context, B),
    keys: keys.map(({ projected, values }) => {
      const wide = copies(tape, values, B);
      return { values: wide, projected: projected === values ? wide : copies(tape, projected, B) };
    }),
    state: undefined,
  };
}
