/**
 * Language model: embedding → recurrent stack → linear → softmax over the next token. It learns a text window by window and carries its
 * state from one window to the next (truncated backpropagation through time). It generates text from a prompt.
 */
import * as check from '../check.js';
import { generateTokens } from '../nn/generate.js';
import { crossEntropyLoss } from '../nn/losses.js';
import { State } from '../nn/recurrent/state.js';
import type { Options } from '../options.js';
import { option, optional, type Reader, readOptions, real, type Settings, share, whole } from '../options.js';
import { Random } from '../random.js';
import type { Tape } from '../tape.js';
import type { Vocabulary } from '../text/vocabulary.js';
import type { Standing } from '../train/checkpoint.js';
import { FIT, type FitOptions } from '../train/fit.js';
import type { FitHistory } from '../train/history.js';
import type { OptimizerOptions } from '../train/optimizer.js';
import { Breather, Run } from '../train/run.js';
import type { Split } from '../train/shards.js';
import { TASK_FIT, type TaskFitOptions, type TaskProgress } from '../train/task-fit.js';
import type { BatchOptions, BatchProgress } from './shared/batches.js';
import { BATCHES, encodeAll, SIGNAL, WORKERS } from './shared/batches.js';
import { KIND, type LanguageLayers, type LanguageModelConfig, type NextToken } from './shared/language-layers.js';
import { type Call, inParts } from './shared/passes.js';
import type { Stream } from './shared/stream.js';
import type { LoadOptions, Made, TaskOptions } from './shared/task.js';
import { create, createSync, load, loadSync, Task } from './shared/task.js';
import { type Cut, cutOf, fingerprint, joined, type Position, partOf } from './shared/text-position.js';

export interface LanguageModelOptions extends TaskOptions, LanguageModelConfig {}

const readValidation: Reader<number | string | readonly string[]> = (name, value) => {
  if (typeof value === 'number') return share(name, value);
  if (typeof value === 'string' || Array.isArray(value)) return value;
  return check.fail(name, 'a text, a list of tokens, or a share between 0 and 1', value);
};
const WINDOWS = {
  /** A text to validate on, or the share of the text, at its end, that is kept for it: a number between 0 and 1. Default: none. */
  validation: optional(readValidation),
  /** Places in the text that are read side by side, default 16. */
  batchSize: option(whole(1), 16),
  /** Steps of a sequence, through which gradients flow, default 64. */
  window: option(whole(1), 64),
  /** Tokens from the start of one window to the start of the next, default `window`. Where windows overlap, only new tokens count. */
  stride: optional(whole(1)),
};
const FIT_TEXT = { ...FIT, ...TASK_FIT, ...WINDOWS };

export interface LanguageModelFitOptions extends FitOptions, TaskFitOptions, Options<typeof WINDOWS> {}

export interface LanguageModelProgress extends TaskProgress<LanguageModelReport> {
  /** The loss in bits per token: per character, if the tokens are characters. */
  readonly bits: number;
  readonly tokensPerSecond: number;
}

const GENERATE = {
  /** The text to continue. Default: a line break, or the first token if the vocabulary has no line break. */
  prompt: optional((name: string, value: unknown) =>
    typeof value === 'string' || Array.isArray(value)
      ? (value as string | readonly string[])
      : check.fail(name, 'a text or a list of tokens', value),
  ),
  /** Tokens to generate, default 200. */
  length: option(whole(0), 200),
  /** Divides the logits; 0 always takes the most probable token. Default 1. */
  temperature: option(real(0), 1),
  /** Samples from the k most probable tokens; 0 samples from all. Default 0. */
  topK: option(whole(0), 0),
  /** Samples from the smallest set of tokens whose probabilities add up to this. Default 1. */
  topP: option(real(0, 1, true), 1),
  /** Makes the text reproducible. Default: the model's own random stream, which moves on with each call. */
  seed: optional(whole(0, Number.MAX_SAFE_INTEGER)),
  ...SIGNAL,
};

const EVALUATE = { ...SIGNAL, ...WORKERS };

export interface GenerateOptions extends Options<typeof GENERATE> {}

/** `loss` is the mean in nats per token, `bits` the same in bits, `count` the number of predictions. */
export interface LanguageModelReport {
  readonly loss: number;
  readonly bits: number;
  readonly count: number;
}

/** Tokens per call of the core where no gradient is needed, and per piece of generated text. */
const CHUNK = 256;
const PIECE = 32;

/**
 * Predicts the next token of a text, and generates text.
 *
 * @example
 * const lm = await LanguageModel.create({ vocabulary: 'abc', hiddenSize: 8, seed: 1 });
 * await lm.fit('abcabcabcabc', { batchSize: 1, window: 4, steps: 20 });
 * const text = await lm.generate({ prompt: 'ab', length: 10 });
 * const [{ token, probabilities }] = await lm.predict(['ab']);
 */
export class LanguageModel extends Task<LanguageLayers, LanguageModelConfig> {
  private constructor(made: Made<LanguageLayers, LanguageModelConfig>) {
    super(made);
  }

  /** Its name, also where a bundler has shortened that of the class. */
  static get taskName() {
    return 'LanguageModel' as const;
  }

  /**
   * A model with fresh weights.
   *
   * @throws TypeError, RangeError for invalid options; UnsupportedError where there is no WebAssembly SIMD
   */
  static async create(options: LanguageModelOptions): Promise<LanguageModel> {
    return new LanguageModel(await create(KIND, options));
  }

  /** The same, synchronously, for workers, worklets and scripts. */
  static createSync(options: LanguageModelOptions): LanguageModel {
    return new LanguageModel(createSync(KIND, options));
  }

  /**
   * A model from a file: from `save`, or a state dict of PyTorch with `embedding.weight`, `rnn.`, `lstm.` or `gru.` weights and `head.`
   * as safetensors, whose sizes are read from the tensors.
   *
   * @throws FormatError for a file that is damaged or holds something else
   */
  static async load(bytes: Uint8Array | ArrayBuffer, options?: LoadOptions): Promise<LanguageModel> {
    return new LanguageModel(await load(KIND, bytes, options));
  }

  static loadSync(bytes: Uint8Array | ArrayBuffer, options?: LoadOptions): LanguageModel {
    return new LanguageModel(loadSync(KIND, bytes, options));
  }

  /** The tokens that it reads and writes. */
  get vocabulary(): Vocabulary {
    return this.model.layers.vocabulary;
  }

  get targetVocabulary(): Vocabulary {
    return this.vocabulary;
  }

  /** Steps that training has made, the options of its optimizer, and how the text is cut; null before the first. */
  override get training(): ({ readonly steps: number; readonly options: OptimizerOptions } & Cut) | null {
    const training = super.training;
    const position = this.position as Position | null;
    if (!training || !position) return null;
    const { batchSize, window, stride } = position;
    return { ...training, batchSize, window, stride };
  }

  /**
   * Learns a text, read at `batchSize` places side by side. Called again with the same text it resumes where it stopped, also after
   * `save` and `load`. With another text it keeps its weights and begins at the front.
   *
   * @param text a text or a list of tokens
   * @throws before anything changes: RangeError, TypeError for a text that is too short or has unknown tokens; NonFiniteError
   */
  fit(text: string | readonly string[], options: LanguageModelFitOptions = {}): Run<LanguageModelProgress, FitHistory> {
    const settings = readOptions('fit', FIT_TEXT, options);
    const { batchSize, window, validation, signal } = settings;
    const { stride = window } = settings;
    check.whole('stride', stride, 1, window);
    const all = this.vocabulary.encode('text', text);
    const cut = typeof validation === 'number' ? all.length - Math.round(all.length * validation) : all.length;
    const tokens = all.subarray(0, cut);
    const kept =
      typeof validation === 'number' ? all.subarray(cut) : this.vocabulary.encode('validation', validation ?? []);
    if (validation !== undefined && kept.length < 2) check.fail('validation', 'at least two tokens', kept.length);
    if (tokens.length <= batchSize * window) {
      check.fail(
        'text',
        `at least ${batchSize * window + 1} tokens for batchSize ${batchSize} and window ${window}`,
        tokens.length,
      );
    }
    const perStep = batchSize * stride;
    let first = 0;
    const cuts = { batchSize, window, stride };
    const prepare = (standing: Standing) => {
      first = standing.optimizer?.steps ?? 0;
      return { steps: settings.steps, ...this.#course(tokens, cuts, standing) };
    };
    const material = { data: text, batchSize, split: this.#windows(tokens, cuts) };
    const evaluate = () => this.#evaluate(kept, { signal });
    const source = validation === undefined ? undefined : { data: fingerprint(kept), evaluate };
    return this.train(options, settings, material, prepare, source, (progress) => ({
      ...progress,
      bits: progress.loss / Math.LN2,
      tokensPerSecond: ((progress.step - first) * perStep) / progress.secondsElapsed,
    }));
  }

  /** Goes through a text: `batchSize` places in it, side by side, window by window, each with the state of the one before. */
  #course(tokens: Int32Array, { batchSize: B, window: T, stride }: Cut, standing: Standing) {
    const text = fingerprint(tokens);
    let position = standing.position as Position | null;
    if (position?.text !== text || position.batchSize !== B || position.window !== T || position.stride !== stride) {
      standing.position = position = { text, batchSize: B, window: T, stride, next: 0 };
      standing.state = null;
    }
    const at = position;
    const { windows } = cutOf(tokens, { batchSize: B, window: T, stride });
    let epochs = 0;
    const next = () => {
      const n = at.next % windows;
      // at the front of the text there is nothing to carry over
      const state = n === 0 ? null : standing.state;
      const done = (states: readonly unknown[]) => {
        standing.state = joined(states as State[], B);
        at.next = n + 1;
        if (at.next === windows) epochs++;
      };
      return { where: { n, state }, done };
    };
    return { next, epoch: () => epochs + (at.next % windows) / windows };
  }

  /** The batches of a text, and parts of them: every n-th place. */
  #windows(tokens: Int32Array, cut: Cut): Split<LanguageLayers> {
    const { batchSize, window: T, stride } = cut;
    const { length } = cutOf(tokens, cut);
    return (where, shard, shards) => {
      const { n, state: all } = where as { n: number; state: State | null };
      const places = Array.from({ length: batchSize }, (_, b) => b).filter((b) => b % shards === shard);
      const B = places.length;
      const state = all ? partOf(all, places) : this.model.layers.rnn.state(B);
      let after = state;
      const known = n === 0 ? 0 : T - stride;
      const inputs = new Int32Array(T * B);
      const targets = new Int32Array(T * B);
      places.forEach((place, b) => {
        const from = place * length + n * stride;
        for (let t = 0; t < T; t++) {
          inputs[t * B + b] = tokens[from + t];
          targets[t * B + b] = t < known ? -1 : tokens[from + t + 1];
        }
      });
      return {
        weight: B / batchSize,
        loss: (tape, layers) => {
          // a pass moves it, and a step may be looked at in a pass of its own
          after = state.clone();
          const logits = layers.forward(tape, inputs, T, B, after, tape.training ? stride : T);
          return crossEntropyLoss(tape, logits, targets);
        },
        after: () => after,
      };
    };
  }

  /**
   * How well the model predicts a text, read as one stream from a state of zero. So one of the `workers` reads all of it.
   */
  evaluate(
    text: string | readonly string[],
    options: Options<typeof EVALUATE> = {},
  ): Run<BatchProgress, LanguageModelReport> {
    const settings = readOptions('evaluate', EVALUATE, options);
    const tokens = this.vocabulary.encode('text', text);
    if (tokens.length < 2) check.fail('text', 'at least two tokens', tokens.length);
    return this.#evaluate(tokens, settings, { method: 'evaluate', data: text, options });
  }

  #evaluate(tokens: Int32Array, settings: Options<typeof EVALUATE>, call?: Call) {
    let state: Pick<State, 'batch' | 'h' | 'c'> = this.model.layers.rnn.state(1);
    const total = tokens.length - 1;
    let sum = 0;
    const parts = {
      count: Math.ceil(total / CHUNK),
      where: (i: number) => ({ done: CHUNK * i, state }),
      here: ({ done, state: { batch, h, c } }: { done: number; state: typeof state }) => {
        const after = new State(batch, h, c);
        const n = Math.min(CHUNK, total - done);
        const targets = tokens.subarray(done + 1, done + n + 1);
        const loss = this.model.forward((tape, layers) => {
          const logits = layers.forward(tape, tokens.subarray(done, done + n), n, 1, after);
          return n * crossEntropyLoss(tape, logits, targets).value;
        });
        return { loss, after };
      },
      put: ({ loss, after }: { loss: number; after: typeof state }) => {
        sum += loss;
        state = after;
      },
      serial: true,
      done: (i: number) => ({ done: Math.min(CHUNK * (i + 1), total), total }),
      finish: (): LanguageModelReport => ({ loss: sum / total, bits: sum / total / Math.LN2, count: total }),
    };
    return inParts(parts, settings, call && { ...this.replicated, call });
  }

  /** The next token of each text, in their order. */
  predict(texts: readonly (string | readonly string[])[], options: BatchOptions = {}): Run<BatchProgress, NextToken[]> {
    const settings = readOptions('predict', BATCHES, options);
    const items = encodeAll('texts', texts, 'texts', (place, text) => this.#encode(place, text));
    const work = (tape: Tape, layers: LanguageLayers, batch: Int32Array[]) => {
      const lengths = batch.map(({ length }) => length);
      const T = Math.max(...lengths);
      const ids = new Int32Array(T * batch.length);
      batch.forEach((tokens, b) => tokens.forEach((token, t) => (ids[t * batch.length + b] = token)));
      const { h } = layers.rnn.forward(tape, layers.embedding.forward(tape, ids, { T, B: batch.length, lengths }));
      return layers.next(tape, layers.head.forward(tape, h[h.length - 1]));
    };
    return this.forEach(items, settings, work, { method: 'predict', data: texts, options });
  }

  /**
   * A stream: reads text in pieces; after each piece, the next token.
   *
   * @param saved what `save` of a stream returned
   */
  stream(saved?: Uint8Array | ArrayBuffer): Stream<string | readonly string[], NextToken> {
    const { layers } = this.model;
    return this.openStream(saved, {
      cell: layers.settings.cell,
      start: () => ({ state: layers.rnn.state(1), values: {} }),
      step: (text: string | readonly string[], { state }) => {
        const tokens = this.#encode('input', text);
        const last = tokens.length - 1;
        this.#read(tokens.subarray(0, last), state);
        return this.model.forward(
          (tape) => layers.next(tape, layers.forward(tape, tokens.subarray(last), 1, 1, state))[0],
        );
      },
    });
  }

  /** Moves a state over tokens. */
  #read(tokens: Int32Array, state: State): void {
    for (let at = 0; at < tokens.length; at += CHUNK) {
      this.model.forward((tape, layers) => layers.read(tape, tokens.subarray(at, at + CHUNK), state));
    }
  }

  /**
   * Generates text that continues the prompt. Await it for the whole text, without the prompt, or iterate it for its pieces.
   *
   * @throws TypeError, RangeError for invalid options, or a prompt with unknown tokens
   */
  generate(options: GenerateOptions = {}): Run<string, string> {
    const pieces = this.#pieces(options);
    async function* go(): AsyncGenerator<string, string, void> {
      const breather = new Breather();
      let text = '';
      for (const piece of pieces) {
        text += piece;
        yield piece;
        await breather.breathe();
      }
      return text;
    }
    return new Run(go(), options.signal);
  }

  /** The same, synchronously, for workers, worklets and scripts. */
  generateSync(options: GenerateOptions = {}): string {
    return [...this.#pieces(options)].join('');
  }

  #pieces(options: GenerateOptions): Generator<string, void, void> {
    const settings = readOptions('generate', GENERATE, options);
    const { tokens } = this.vocabulary;
    const first = tokens.includes('\n') ? ['\n'] : tokens.slice(0, 1);
    return this.#write(this.#encode('prompt', settings.prompt ?? first), settings);
  }

  *#write(prompt: Int32Array, settings: Settings<typeof GENERATE>): Generator<string, void, void> {
    const { length, seed, signal } = settings;
    const { vocabulary, model } = this;
    const random = seed === undefined ? model.random : new Random(seed);
    const state = model.layers.rnn.state(1);
    const last = prompt.length - 1;
    this.#read(prompt.subarray(0, last), state);
    let token = prompt[last];
    for (let left = length; left > 0; left -= PIECE) {
      signal?.throwIfAborted();
      const count = Math.min(PIECE, left);
      const drawn = this.model.forward((tape, layers) =>
        generateTokens(tape, layers, token, state, count, settings, random),
      );
      token = drawn[count - 1];
      yield (left < length && !vocabulary.characters ? ' ' : '') + vocabulary.decode(drawn);
    }
  }

  #encode(name: string, text: string | readonly string[]): Int32Array {
    const ids = this.vocabulary.encode(name, text);
    if (ids.length === 0) throw new RangeError(`${name}: expected at least one token`);
    return ids;
  }
}
