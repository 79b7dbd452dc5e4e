/**
 * Language model: embedding → recurrent stack → linear → softmax over the next token. It learns a text window by window, its state
 * carried from one window to the next (truncated backpropagation through time), and writes on from a prompt.
 */
import { Gen } from '../../assembly/layout.js';
import { CELL_DEFAULTS } from '../cells/cell.js';
import { CELL_NAMES, type CellName, cells } from '../cells/index.js';
import * as check from '../check.js';
import { align, RUNTIME_OPTIONS, Runtime, type RuntimeOptions } from '../core/runtime.js';
import { FormatError } from '../errors.js';
import { Embedding } from '../nn/embedding.js';
import { Linear } from '../nn/linear.js';
import { crossEntropy } from '../nn/losses.js';
import { type Builder, Model } from '../nn/model.js';
import { Recurrent, type State } from '../nn/recurrent.js';
import { Random } from '../random.js';
import type { Tape } from '../tape.js';
import { Vocabulary } from '../text/vocabulary.js';
import * as checkpoint from '../train/checkpoint.js';
import { checkFit, FIT_OPTIONS, type FitOptions, type Progress, train } from '../train/fit.js';
import { OPTIMIZER_OPTIONS, Optimizer, type OptimizerOptions, settings } from '../train/optimizer.js';
import { Breather, Run } from '../train/run.js';

export interface LanguageModelOptions extends RuntimeOptions {
  /** A text, whose characters become the tokens, or a list of tokens. */
  vocabulary: string | readonly string[];
  /** Default `'lstm'`. */
  cell?: CellName | undefined;
  /** Units of each recurrent layer, default 128. */
  hiddenSize?: number | undefined;
  /** Recurrent layers, default 1. */
  numLayers?: number | undefined;
  /** Features of a token's vector, default 64. */
  embeddingSize?: number | undefined;
  /** Whole number, default 0: the same seed gives the same model, text and numbers. */
  seed?: number | undefined;
  /** A runtime to share; else the model starts one of its own. */
  runtime?: Runtime | undefined;
}

export interface LanguageModelFitOptions extends FitOptions {
  /** Places in the text that are read side by side, default 16. */
  batchSize?: number | undefined;
  /** Tokens of a step's sequences, through which gradients flow, default 64. */
  window?: number | undefined;
}

export interface LanguageModelProgress extends Progress {
  /** The loss in bits per token: per character, where characters are the tokens. */
  readonly bits: number;
  readonly tokensPerSecond: number;
}

export interface GenerateOptions {
  /** What to write on from. Default: a line break, or the first token where there is none. */
  prompt?: string | readonly string[] | undefined;
  /** Tokens to write, default 200. */
  length?: number | undefined;
  /** Logits are divided by it; 0 takes the likeliest token always. Default 1. */
  temperature?: number | undefined;
  /** Draw among the k likeliest tokens; 0, the default: among all. */
  topK?: number | undefined;
  /** Draw among the fewest tokens that have at least this probability together, default 1. */
  topP?: number | undefined;
  /** Default: the model's own random stream, which goes on from call to call. */
  seed?: number | undefined;
}

interface Layers {
  readonly embedding: Embedding;
  readonly rnn: Recurrent;
  readonly head: Linear;
}

const OPTIONS = [
  'vocabulary',
  'cell',
  'hiddenSize',
  'numLayers',
  'embeddingSize',
  'seed',
  'runtime',
  ...RUNTIME_OPTIONS,
];
const GENERATE_OPTIONS = ['prompt', 'length', 'temperature', 'topK', 'topP', 'seed'];
const TASK = 'language-model';
const ALIASES = { 'rnn.': CELL_NAMES.map((cell) => `${cell}.`) };
/** Tokens that go through the core in one call, where no gradient binds them together. */
const CHUNK = 256;

export interface LanguageModelConfig {
  readonly vocabulary: readonly string[];
  readonly cell: CellName;
  readonly hiddenSize: number;
  readonly numLayers: number;
  readonly embeddingSize: number;
}

/** Where training stands in its text. */
interface Position {
  /** Fingerprint of the text, its number of tokens, and how it is cut. */
  readonly text: string;
  readonly batchSize: number;
  readonly window: number;
  /** Window that comes next. */
  next: number;
}

function checkOptions(options: LanguageModelOptions): {
  config: LanguageModelConfig;
  vocabulary: Vocabulary;
  seed: number;
} {
  check.options('options', options, OPTIONS);
  const { cell = 'lstm', hiddenSize = 128, numLayers = 1, embeddingSize = 64, seed = 0, runtime } = options;
  if (runtime !== undefined && !(runtime instanceof Runtime)) check.fail('runtime', 'a Runtime', runtime);
  if (runtime && (options.build ?? options.module) !== undefined) {
    throw new TypeError('runtime: goes with neither build nor module, which are for a runtime of its own');
  }
  const vocabulary = new Vocabulary(options.vocabulary);
  return {
    vocabulary,
    seed: check.whole('seed', seed, 0, Number.MAX_SAFE_INTEGER),
    config: {
      vocabulary: vocabulary.tokens,
      cell: check.oneOf('cell', cell, CELL_NAMES),
      hiddenSize: check.whole('hiddenSize', hiddenSize),
      numLayers: check.whole('numLayers', numLayers),
      embeddingSize: check.whole('embeddingSize', embeddingSize),
    },
  };
}

/** The options that a file without a description speaks of by its tensors. */
function infer(
  { tensors, metadata }: checkpoint.Checkpoint,
  given: string | readonly string[] | undefined,
): Record<string, unknown> {
  const embedding = tensors.get('embedding.weight')?.shape;
  const names = [...tensors.keys()];
  const hh = names.find((name) => /^(\w+)\.weight_hh_l0$/.test(name));
  const shape = hh ? tensors.get(hh)?.shape : undefined;
  if (embedding?.length !== 2 || shape?.length !== 2) {
    throw new FormatError(
      'the file has no description, and no `embedding.weight` and `rnn.weight_hh_l0` to infer one from',
    );
  }
  const gates = shape[0] / shape[1];
  const cell = CELL_NAMES.find((name) => cells[name].gates(CELL_DEFAULTS).length === gates);
  if (!cell) throw new FormatError(`${hh}: shape [${shape.join(', ')}] belongs to no cell that is known here`);
  const vocabulary = given ?? metadata.vocabulary ?? metadata.vocab;
  if (vocabulary === undefined) throw new TypeError('vocabulary: the file names none; give one');
  return {
    vocabulary: typeof vocabulary === 'string' ? [...vocabulary] : vocabulary,
    cell,
    hiddenSize: shape[1],
    numLayers: names.filter((name) => /\.weight_hh_l\d+$/.test(name)).length,
    embeddingSize: embedding[1],
  };
}

/** A number that another text is unlikely to have (FNV-1a). */
function fingerprint(tokens: Int32Array): string {
  let hash = 0x811c9dc5;
  for (const token of tokens) hash = Math.imul(hash ^ token, 0x01000193);
  return `${tokens.length}-${(hash >>> 0).toString(16)}`;
}

export class LanguageModel {
  readonly vocabulary: Vocabulary;
  /** Layers and parameters, for those who want to go further down. */
  readonly model: Model<Layers>;
  readonly runtime: Runtime;
  readonly #ownsRuntime: boolean;
  readonly #config: LanguageModelConfig;
  #optimizer: Optimizer | null = null;
  #state: State | null = null;
  #position: Position | null = null;
  #busy = false;

  private constructor(
    runtime: Runtime,
    ownsRuntime: boolean,
    config: LanguageModelConfig,
    vocabulary: Vocabulary,
    seed: number,
    initialise: boolean,
  ) {
    this.runtime = runtime;
    this.#ownsRuntime = ownsRuntime;
    this.#config = config;
    this.vocabulary = vocabulary;
    const { cell, hiddenSize, numLayers, embeddingSize } = config;
    const build = (b: Builder): Layers => ({
      embedding: new Embedding(b, 'embedding', { vocabularySize: vocabulary.size, embeddingSize }),
      rnn: new Recurrent(b, 'rnn', { cell, inputSize: embeddingSize, hiddenSize, numLayers }),
      head: new Linear(b, 'head', { inputSize: hiddenSize, outputSize: vocabulary.size }),
    });
    try {
      this.model = new Model(runtime, seed, build, initialise);
    } catch (error) {
      if (ownsRuntime) runtime.dispose();
      throw error;
    }
  }

  /**
   * A model with fresh weights.
   *
   * @throws TypeError, RangeError for options that are none; UnsupportedError where WebAssembly SIMD cannot be had
   */
  static async create(options: LanguageModelOptions): Promise<LanguageModel> {
    const checked = checkOptions(options);
    const runtime = options.runtime ?? (await Runtime.create({ build: options.build, module: options.module }));
    return new LanguageModel(runtime, !options.runtime, checked.config, checked.vocabulary, checked.seed, true);
  }

  /** The same at once, for workers and scripts. */
  static createSync(options: LanguageModelOptions): LanguageModel {
    const checked = checkOptions(options);
    const runtime = options.runtime ?? Runtime.createSync({ build: options.build, module: options.module });
    return new LanguageModel(runtime, !options.runtime, checked.config, checked.vocabulary, checked.seed, true);
  }

  /**
   * Learns a text. Await it, or iterate it for the progress of each step. Called again with the same text, it goes on where it
   * stopped, also after `save` and `load`; with another one it keeps what it has learned and begins at the front.
   *
   * @param input the text, or a list of tokens
   * @throws RangeError for a text that is too short or has unknown characters; NonFiniteError if the loss is no number any more
   */
  fit(input: string | readonly string[], options: LanguageModelFitOptions = {}): Run<LanguageModelProgress, void> {
    check.options('fit', options, [...FIT_OPTIONS, 'batchSize', 'window']);
    const { batchSize = 16, window = 64, signal: _, steps: __, clipNorm: ___, clipValue: ____, ...rest } = options;
    const B = check.whole('batchSize', batchSize);
    const T = check.whole('window', window);
    checkFit(options);
    const tokens = this.#encode('text', input);
    const streams = Math.floor((tokens.length - 1) / B);
    if (streams < T) {
      throw new RangeError(
        `text: its ${tokens.length} tokens are too few for batchSize ${B} of window ${T}; ${B * T + 1} are needed`,
      );
    }
    const optimizerOptions = Object.fromEntries(
      OPTIMIZER_OPTIONS.filter((k) => rest[k] !== undefined).map((k) => [k, rest[k]]),
    );
    settings(optimizerOptions);
    return new Run(this.#train(tokens, B, T, streams, optimizerOptions, options));
  }

  async *#train(
    tokens: Int32Array,
    B: number,
    T: number,
    length: number,
    optimizerOptions: OptimizerOptions,
    options: LanguageModelFitOptions,
  ): AsyncGenerator<LanguageModelProgress, void, void> {
    if (this.#busy) throw new Error('this model is being trained already');
    this.#busy = true;
    try {
      const optimizer = this.#resume(optimizerOptions);
      const text = fingerprint(tokens);
      if (this.#position?.text !== text || this.#position.batchSize !== B || this.#position.window !== T) {
        this.#position = { text, batchSize: B, window: T, next: 0 };
        this.#state = null;
      }
      const position = this.#position;
      const windows = Math.floor(length / T);
      const inputs = new Int32Array(T * B);
      const targets = new Int32Array(T * B);
      const next = () => {
        const n = position.next % windows;
        // the text begins anew: nothing to carry over
        const state = n === 0 || !this.#state ? this.model.layers.rnn.state(B) : this.#state.clone();
        for (let b = 0; b < B; b++) {
          const from = b * length + n * T;
          for (let t = 0; t < T; t++) {
            inputs[t * B + b] = tokens[from + t];
            targets[t * B + b] = tokens[from + t + 1];
          }
        }
        return {
          loss: (tape: Tape, { embedding, rnn, head }: Layers) =>
            crossEntropy(
              tape,
              head.forward(tape, rnn.forward(tape, embedding.forward(tape, inputs, T, B), state).output),
              targets,
            ),
          done: () => {
            this.#state = state;
            position.next = n + 1;
          },
        };
      };
      const first = optimizer.step;
      for await (const progress of train(this.model, optimizer, options, next)) {
        yield {
          ...progress,
          bits: progress.loss / Math.LN2,
          tokensPerSecond: ((progress.step - first) * B * T) / progress.secondsElapsed,
        };
      }
    } finally {
      this.#busy = false;
    }
  }

  /** The optimizer at work, if its settings but for the rate are the same; else a new one. */
  #resume(options: OptimizerOptions): Optimizer {
    const { learningRate: _, ...wanted } = settings(options);
    const { learningRate: __, ...have } = this.#optimizer?.settings ?? settings({});
    if (!this.#optimizer || JSON.stringify(wanted) !== JSON.stringify(have)) {
      const step = this.#optimizer?.step ?? 0;
      this.#optimizer = new Optimizer(this.model, options);
      this.#optimizer.step = step;
    }
    return this.#optimizer;
  }

  /**
   * How well the model foretells a text, read as one stream from a state of zero.
   *
   * @returns mean loss in nats, the same in bits per token, and the number of predictions
   */
  evaluate(
    input: string | readonly string[],
    { signal }: { signal?: AbortSignal } = {},
  ): Run<{ done: number; total: number }, { loss: number; bits: number; count: number }> {
    const tokens = this.#encode('text', input);
    if (tokens.length < 2) throw new RangeError('text: at least two tokens are needed, the second to be foretold');
    return new Run(this.#evaluate(tokens, signal));
  }

  async *#evaluate(tokens: Int32Array, signal: AbortSignal | undefined) {
    const breather = new Breather();
    const state = this.model.layers.rnn.state(1);
    const total = tokens.length - 1;
    let sum = 0;
    for (let done = 0; done < total; ) {
      signal?.throwIfAborted();
      const n = Math.min(CHUNK, total - done);
      const inputs = tokens.subarray(done, done + n);
      const targets = tokens.subarray(done + 1, done + n + 1);
      sum += this.model.forward((tape, { embedding, rnn, head }) => {
        const { output } = rnn.forward(tape, embedding.forward(tape, inputs, n, 1), state);
        return n * crossEntropy(tape, head.forward(tape, output), targets).value;
      });
      done += n;
      yield { done, total };
      await breather.breathe();
    }
    return { loss: sum / total, bits: sum / total / Math.LN2, count: total };
  }

  /** Writes on from the prompt; returns what it wrote, without the prompt. */
  generate(options: GenerateOptions = {}): string {
    const writer = this.#write(options);
    let text = '';
    for (let part = writer.next(); !part.done; part = writer.next()) {
      text += (text && !this.vocabulary.characters ? ' ' : '') + part.value;
    }
    return text;
  }

  /** The same bit by bit, for long texts: yields a few tokens at a time and leaves the event loop room. */
  async *stream(options: GenerateOptions & { signal?: AbortSignal } = {}): AsyncGenerator<string, void, void> {
    const { signal, ...rest } = options;
    const breather = new Breather();
    for (const part of this.#write(rest)) {
      signal?.throwIfAborted();
      yield part;
      await breather.breathe();
    }
  }

  *#write(options: GenerateOptions): Generator<string, void, void> {
    check.options('generate', options, GENERATE_OPTIONS);
    const { vocabulary, model } = this;
    const { length = 200, temperature = 1, topK = 0, topP = 1, seed } = options;
    check.whole('length', length, 0);
    check.number('temperature', temperature, 0);
    check.whole('topK', topK, 0);
    check.number('topP', topP, 0, 1, true);
    const first = vocabulary.tokens.includes('\n') ? ['\n'] : vocabulary.tokens.slice(0, 1);
    const prompt = this.#encode('prompt', options.prompt ?? first);
    if (prompt.length === 0) throw new RangeError('prompt: is empty; leave it out to begin with a line break');
    const random =
      seed === undefined ? model.random : new Random(check.whole('seed', seed, 0, Number.MAX_SAFE_INTEGER));
    const state = model.layers.rnn.state(1);
    const last = prompt.length - 1;
    for (let at = 0; at < last; at += CHUNK) {
      const part = prompt.subarray(at, Math.min(at + CHUNK, last));
      model.forward((tape, { embedding, rnn }) =>
        rnn.forward(tape, embedding.forward(tape, part, part.length, 1), state),
      );
    }
    let token = prompt[last];
    for (let left = length; left > 0; left -= CHUNK) {
      const count = Math.min(CHUNK, left);
      const drawn = this.#draw(token, state, count, temperature, topK, topP, random);
      token = drawn[count - 1];
      yield vocabulary.decode(drawn);
    }
  }

  /** One call of the core for `count` tokens. */
  #draw(
    token: number,
    state: State,
    count: number,
    temperature: number,
    topK: number,
    topP: number,
    random: Random,
  ): Int32Array {
    const { runtime, model } = this;
    return model.forward((tape, { embedding, rnn, head }) => {
      const V = this.vocabulary.size;
      const { embeddingSize } = this.#config;
      const x = runtime.take(align(4 * embeddingSize));
      const { calls, leave } = rnn.stepCalls(tape, x, state);
      const logits = runtime.take(align(4 * V));
      const scratch = runtime.take(2 * align(4 * V));
      const seqs = runtime.take(4 * calls.length);
      const out = runtime.take(4 * count);
      const g = runtime.take(4 * Gen.fields);
      const { weight, bias } = head.packed();
      runtime.writeInts(seqs, calls);
      const { i32 } = runtime;
      const f = g >> 2;
      i32[f + Gen.layers] = calls.length;
      i32[f + Gen.seqs] = seqs;
      i32[f + Gen.embedding] = embedding.weight.at;
      i32[f + Gen.E] = embeddingSize;
      i32[f + Gen.head] = weight;
      i32[f + Gen.bias] = bias;
      i32[f + Gen.logits] = logits;
      i32[f + Gen.V] = V;
      i32[f + Gen.scratch] = scratch;
      i32[f + Gen.token] = token;
      random.use('sample', (seed, stream, block) => {
        runtime.core.generate(g, out, count, temperature, topK, topP, seed, stream, block);
        return block + count;
      });
      leave();
      return runtime.i32.slice(out >> 2, (out >> 2) + count);
    });
  }

  /**
   * The model as a safetensors file: with everything that training needs to go on to the same bits, or with the weights alone.
   */
  save({ weightsOnly = false }: { weightsOnly?: boolean } = {}): Uint8Array<ArrayBuffer> {
    check.flag('weightsOnly', weightsOnly);
    const about = { task: TASK, config: { ...this.#config } };
    if (weightsOnly) return checkpoint.save(this.model, about, null);
    const position = { ...this.#position };
    return checkpoint.save(this.model, about, { optimizer: this.#optimizer, state: this.#state, position });
  }

  /**
   * A model from a file: one of ours, or a state dict of PyTorch with `embedding.weight`, `rnn.`, `lstm.` or `gru.` weights and
   * `head.` as safetensors, whose sizes are read off the tensors.
   *
   * @param options `vocabulary` for a file that names none; what `create` takes for the runtime
   * @throws FormatError for a file that is damaged or holds something else
   */
  static async load(
    bytes: Uint8Array | ArrayBuffer,
    options: RuntimeOptions & { vocabulary?: string | readonly string[]; runtime?: Runtime } = {},
  ): Promise<LanguageModel> {
    check.options('load', options, ['vocabulary', 'runtime', ...RUNTIME_OPTIONS]);
    const file = checkpoint.open(bytes, TASK);
    const config = file.description ? file.description.config : infer(file, options.vocabulary);
    const seed = file.description?.seed ?? 0;
    let checked: ReturnType<typeof checkOptions>;
    try {
      checked = checkOptions({ ...(config as unknown as LanguageModelOptions), seed });
    } catch (error) {
      throw new FormatError(`the file's description: ${(error as Error).message}`);
    }
    const runtime = options.runtime ?? (await Runtime.create({ build: options.build, module: options.module }));
    const lm = new LanguageModel(runtime, !options.runtime, checked.config, checked.vocabulary, seed, false);
    try {
      const { optimizer, state } = checkpoint.restore(lm.model, file, ALIASES);
      lm.#optimizer = optimizer;
      lm.#state = state;
      const position = file.description?.position;
      if (position && typeof position.text === 'string') lm.#position = position as unknown as Position;
      return lm;
    } catch (error) {
      lm.dispose();
      throw error;
    }
  }

  /** What the model was created with. */
  get config(): LanguageModelConfig {
    return this.#config;
  }

  /** Where training stands: updates so far, and the options they were made with. Null before the first. */
  get training(): { step: number; batchSize: number; window: number; options: OptimizerOptions } | null {
    if (!this.#optimizer || !this.#position) return null;
    const { batchSize, window } = this.#position;
    return { step: this.#optimizer.step, batchSize, window, options: this.#optimizer.options };
  }

  #encode(name: string, input: string | readonly string[]): Int32Array {
    const ids = this.vocabulary.encode(name, input);
    if (ids.length === 0 && name === 'text') throw new RangeError('text: is empty');
    return ids;
  }

  /** Bytes that the model uses and that its runtime has reserved. */
  memory(): { bytesInUse: number; bytesReserved: number } {
    return this.runtime.memory();
  }

  /** Gives all memory back. The model cannot be used afterwards. */
  dispose(): void {
    if (this.#ownsRuntime) this.runtime.dispose();
    else this.model.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}
