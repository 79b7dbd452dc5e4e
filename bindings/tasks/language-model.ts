/**
 * Language model: embedding → recurrent stack → linear → softmax over the next token. It learns a text window by window, its state
 * carried from one window to the next (truncated backpropagation through time), and writes on from a prompt.
 */
import { CELL_NAMES, type CellName, gatesOf } from '../cells/index.js';
import * as check from '../check.js';
import type { Runtime } from '../core/runtime.js';
import { RUNTIME_OPTIONS } from '../core/start.js';
import { FormatError } from '../errors.js';
import { Embedding } from '../nn/embedding.js';
import { generateTokens } from '../nn/generate.js';
import { Linear } from '../nn/linear.js';
import { crossEntropyLoss } from '../nn/losses.js';
import type { Builder, Model } from '../nn/model.js';
import { softmaxRows } from '../nn/predict.js';
import { checkRecurrent, RECURRENT_OPTIONS, type RecurrentOptions } from '../nn/recurrent/options.js';
import { Recurrent } from '../nn/recurrent/recurrent.js';
import type { State } from '../nn/recurrent/state.js';
import { Random } from '../random.js';
import type { Tape } from '../tape.js';
import { Vocabulary } from '../text/vocabulary.js';
import * as checkpoint from '../train/checkpoint.js';
import { checkFit, type FitOptions, type Progress } from '../train/fit.js';
import type { OptimizerOptions } from '../train/optimizer.js';
import { Breather, Run } from '../train/run.js';
import { checkFitOptions, checkTask, Learner, storable, TASK_OPTIONS, type TaskOptions } from './learner.js';

/** Options of the recurrent layers that a model which reads from left to right can have. */
type OneWay = Omit<RecurrentOptions, 'cell' | 'inputSize' | 'hiddenSize' | 'bidirectional' | 'merge' | 'reverse'>;

export interface LanguageModelOptions extends TaskOptions, OneWay {
  /** A text, whose characters become the tokens, or a list of tokens. */
  vocabulary: string | readonly string[];
  /** Default `'lstm'`. */
  cell?: CellName | undefined;
  /** Units of each recurrent layer, or a list, default 128. */
  hiddenSize?: number | readonly number[] | undefined;
  /** Features of a token's vector, default 64. */
  embeddingSize?: number | undefined;
  /** Whether the output layer uses the tokens' vectors as its weights; `embeddingSize` and the last `hiddenSize` are then the same. */
  tieWeights?: boolean | undefined;
}

export interface LanguageModelFitOptions extends FitOptions {
  /** Places in the text that are read side by side, default 16. */
  batchSize?: number | undefined;
  /** Tokens of a step's sequences, through which gradients flow (k₂), default 64. */
  window?: number | undefined;
  /** Tokens by which a window lies behind the one before (k₁), default `window`. Where they overlap, only what is new counts. */
  stride?: number | undefined;
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

const ONE_WAY = Object.keys(RECURRENT_OPTIONS).filter(
  (key) => !['inputSize', 'bidirectional', 'merge', 'reverse'].includes(key),
);
const OPTIONS = ['vocabulary', 'embeddingSize', 'tieWeights', ...ONE_WAY, ...TASK_OPTIONS];
const GENERATE_OPTIONS = ['prompt', 'length', 'temperature', 'topK', 'topP', 'seed'];
const TASK = 'language-model';
const ALIASES = { 'rnn.': CELL_NAMES.map((cell) => `${cell}.`) };
/** Tokens that go through the core in one call, where no gradient binds them together. */
const CHUNK = 256;

/** What a model was created with, but for its runtime and seed. */
export interface LanguageModelConfig extends OneWay {
  readonly vocabulary: readonly string[];
  readonly cell: CellName;
  readonly hiddenSize: number | readonly number[];
  readonly embeddingSize: number;
  readonly tieWeights?: boolean;
}

/** Where training stands in its text. */
interface Position {
  /** Fingerprint of the text, its number of tokens, and how it is cut. */
  readonly text: string;
  readonly batchSize: number;
  readonly window: number;
  readonly stride: number;
  /** Window that comes next. */
  next: number;
}

function checkOptions(options: LanguageModelOptions): {
  config: LanguageModelConfig;
  vocabulary: Vocabulary;
  seed: number;
} {
  check.options('options', options, OPTIONS);
  const { cell = 'lstm', hiddenSize = 128, embeddingSize = 64 } = options;
  const seed = checkTask(options);
  const vocabulary = new Vocabulary(options.vocabulary);
  check.whole('embeddingSize', embeddingSize);
  const tieWeights = check.flag('tieWeights', options.tieWeights ?? false);
  const rest = storable(
    options,
    ONE_WAY.filter((key) => key !== 'cell' && key !== 'hiddenSize'),
  );
  const config = {
    vocabulary: vocabulary.tokens,
    cell,
    hiddenSize,
    embeddingSize,
    ...(tieWeights ? { tieWeights } : {}),
    ...rest,
  };
  checkRecurrent('options', recurrentOptions(config));
  return { vocabulary, seed, config };
}

function recurrentOptions({
  vocabulary: _,
  tieWeights: __,
  embeddingSize,
  ...rest
}: LanguageModelConfig): RecurrentOptions {
  return { ...rest, inputSize: embeddingSize };
}

/** The layers of a model. */
function layersOf(config: LanguageModelConfig): (b: Builder) => Layers {
  const vocabularySize = config.vocabulary.length;
  return (b) => {
    const embedding = new Embedding(b, 'embedding', { vocabularySize, embeddingSize: config.embeddingSize });
    const rnn = new Recurrent(b, 'rnn', recurrentOptions(config));
    const { outputSize: inputSize } = rnn;
    if (config.tieWeights && inputSize !== config.embeddingSize) {
      throw new RangeError(
        `tieWeights: embeddingSize is ${config.embeddingSize}, the recurrent layers put out ${inputSize}; they have to be the same`,
      );
    }
    const tied = config.tieWeights ? { weight: embedding.weight } : {};
    return { embedding, rnn, head: new Linear(b, 'head', { inputSize, outputSize: vocabularySize, ...tied }) };
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
  const cell = CELL_NAMES.find((name) => gatesOf(name).length === gates);
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
  /** What the model was created with. */
  readonly config: LanguageModelConfig;
  readonly #learner: Learner<Layers>;

  private constructor(learner: Learner<Layers>, config: LanguageModelConfig, vocabulary: Vocabulary) {
    this.#learner = learner;
    this.config = config;
    this.vocabulary = vocabulary;
  }

  /**
   * A model with fresh weights.
   *
   * @throws TypeError, RangeError for options that are none; UnsupportedError where WebAssembly SIMD cannot be had
   */
  static async create(options: LanguageModelOptions): Promise<LanguageModel> {
    const { config, vocabulary, seed } = checkOptions(options);
    return new LanguageModel(await Learner.create({ ...options, seed }, layersOf(config)), config, vocabulary);
  }

  /** The same at once, for workers and scripts. */
  static createSync(options: LanguageModelOptions): LanguageModel {
    const { config, vocabulary, seed } = checkOptions(options);
    return new LanguageModel(Learner.createSync({ ...options, seed }, layersOf(config)), config, vocabulary);
  }

  /** Layers and parameters, for those who want to go further down. */
  get model(): Model<Layers> {
    return this.#learner.model;
  }

  get runtime(): Runtime {
    return this.#learner.runtime;
  }

  /**
   * Learns a text. Await it, or iterate it for the progress of each step. Called again with the same text, it goes on where it
   * stopped, also after `save` and `load`; with another one it keeps what it has learned and begins at the front.
   *
   * @param input the text, or a list of tokens
   * @throws RangeError for a text that is too short or has unknown characters; NonFiniteError if the loss is no number any more
   */
  fit(input: string | readonly string[], options: LanguageModelFitOptions = {}): Run<LanguageModelProgress, void> {
    checkFitOptions(options, ['batchSize', 'window', 'stride']);
    checkFit(options);
    const { batchSize = 16, window = 64, stride = window } = options;
    check.whole('batchSize', batchSize);
    check.whole('window', window);
    check.whole('stride', stride, 1, window);
    const tokens = this.#encode('text', input);
    if (tokens.length <= batchSize * window) {
      throw new RangeError(
        `text: its ${tokens.length} tokens are too few for batchSize ${batchSize} of window ${window}; ${batchSize * window + 1} are needed`,
      );
    }
    return new Run(this.#train(tokens, { batchSize, window, stride }, options));
  }

  async *#train(
    tokens: Int32Array,
    cut: { batchSize: number; window: number; stride: number },
    options: LanguageModelFitOptions,
  ): AsyncGenerator<LanguageModelProgress, void, void> {
    const first = this.#learner.optimizer?.steps ?? 0;
    const perStep = cut.batchSize * cut.stride;
    for await (const progress of this.#learner.fit(options, () => this.#windows(tokens, cut))) {
      yield {
        ...progress,
        bits: progress.loss / Math.LN2,
        tokensPerSecond: ((progress.step - first) * perStep) / progress.secondsElapsed,
      };
    }
  }

  /** The batches of a text: `batchSize` places in it, side by side, read window by window, each with the state of the one before. */
  #windows(
    tokens: Int32Array,
    { batchSize: B, window: T, stride }: { batchSize: number; window: number; stride: number },
  ) {
    const text = fingerprint(tokens);
    const learner = this.#learner;
    const at = learner.position as Position | null;
    if (at?.text !== text || at.batchSize !== B || at.window !== T || at.stride !== stride) {
      learner.position = { text, batchSize: B, window: T, stride, next: 0 };
      learner.state = null;
    }
    const position = learner.position as Position;
    const length = Math.floor((tokens.length - 1) / B);
    const windows = Math.floor((length - T) / stride) + 1;
    const inputs = new Int32Array(T * B);
    const targets = new Int32Array(T * B);
    return () => {
      const n = position.next % windows;
      // the text begins anew: nothing to carry over
      const state = n === 0 || !learner.state ? this.model.layers.rnn.state(B) : learner.state.clone();
      const known = n === 0 ? 0 : T - stride;
      for (let b = 0; b < B; b++) {
        const from = b * length + n * stride;
        for (let t = 0; t < T; t++) {
          inputs[t * B + b] = tokens[from + t];
          targets[t * B + b] = t < known ? -1 : tokens[from + t + 1];
        }
      }
      return {
        loss: (tape: Tape, { embedding, rnn, head }: Layers) => {
          const x = embedding.forward(tape, inputs, { T, B });
          return crossEntropyLoss(
            tape,
            head.forward(tape, rnn.forward(tape, x, state, { carry: stride }).output),
            targets,
          );
        },
        done: () => {
          learner.state = state;
          position.next = n + 1;
        },
      };
    };
  }

  /**
   * How well the model foretells a text, read as one stream from a state of zero.
   *
   * @returns mean loss in nats, the same in bits per token, and the number of predictions
   */
  evaluate(
    input: string | readonly string[],
    options: { signal?: AbortSignal } = {},
  ): Run<{ done: number; total: number }, { loss: number; bits: number; count: number }> {
    check.options('evaluate', options, ['signal']);
    check.signal('signal', options.signal);
    const tokens = this.#encode('text', input);
    if (tokens.length < 2) throw new RangeError('text: at least two tokens are needed, the second to be foretold');
    return new Run(this.#evaluate(tokens, options.signal));
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
        const { output } = rnn.forward(tape, embedding.forward(tape, inputs, { T: n, B: 1 }), state);
        return n * crossEntropyLoss(tape, head.forward(tape, output), targets).value;
      });
      done += n;
      yield { done, total };
      await breather.breathe();
    }
    return { loss: sum / total, bits: sum / total / Math.LN2, count: total };
  }

  /** A state for a stream of its own: as many as are wanted share the weights. It can be cloned, reset, saved (`saveState`). */
  state(): State {
    return this.model.layers.rnn.state(1);
  }

  /**
   * Reads on in a stream.
   *
   * @param input a text or a list of tokens
   * @param state moved on
   * @returns [V] the probability of each token of the vocabulary to come next
   */
  step(input: string | readonly string[], state: State): Float32Array {
    const tokens = this.#encode('input', input);
    if (tokens.length === 0) throw new RangeError('input: is empty');
    const last = tokens.length - 1;
    this.#read(tokens.subarray(0, last), state);
    return this.model.forward((tape, { embedding, rnn, head }) => {
      const x = embedding.forward(tape, tokens.subarray(last), { T: 1, B: 1 });
      return softmaxRows(tape, head.forward(tape, rnn.forward(tape, x, state).output));
    });
  }

  /** Moves a state on over tokens. */
  #read(tokens: Int32Array, state: State): void {
    for (let at = 0; at < tokens.length; at += CHUNK) {
      const part = tokens.subarray(at, at + CHUNK);
      this.model.forward((tape, { embedding, rnn }) =>
        rnn.forward(tape, embedding.forward(tape, part, { T: part.length, B: 1 }), state),
      );
    }
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
    check.signal('signal', signal);
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
    const state = this.state();
    const last = prompt.length - 1;
    this.#read(prompt.subarray(0, last), state);
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
    return this.model.forward((tape, layers) =>
      generateTokens(tape, layers, token, state, count, { temperature, topK, topP }, random),
    );
  }

  /**
   * The model as a safetensors file: with everything that training needs to go on to the same bits, or with the weights alone.
   */
  save(options: { weightsOnly?: boolean } = {}): Uint8Array<ArrayBuffer> {
    return this.#learner.save(TASK, this.config, options);
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
    options: Omit<TaskOptions, 'seed'> & { vocabulary?: string | readonly string[] } = {},
  ): Promise<LanguageModel> {
    check.options('load', options, ['vocabulary', 'runtime', ...RUNTIME_OPTIONS]);
    const file = checkpoint.open(bytes, TASK);
    const given = file.description?.config ?? infer(file, options.vocabulary);
    const checked = (own: Record<string, unknown>) => {
      const { config } = checkOptions(own as unknown as LanguageModelOptions);
      return { config, build: layersOf(config) };
    };
    const { learner, config } = await Learner.load(file, given, options, checked, ALIASES);
    return new LanguageModel(learner, config, new Vocabulary(config.vocabulary));
  }

  /** Where training stands: updates so far, and the options they were made with. Null before the first. */
  get training(): {
    step: number;
    batchSize: number;
    window: number;
    stride: number;
    options: OptimizerOptions;
  } | null {
    const { optimizer } = this.#learner;
    const position = this.#learner.position as Position | null;
    if (!optimizer || !position) return null;
    const { batchSize, window, stride } = position;
    return { step: optimizer.steps, batchSize, window, stride, options: optimizer.options };
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
    this.#learner.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}
