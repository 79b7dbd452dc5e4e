/**
 * Sequence → shorter sequence in the same order, without a decoder: inputs → recurrent stack → linear layers → CTC. For speech and
 * handwriting, where the output is known but not its alignment with the input (Graves et al. 2006,
 * https://doi.org/10.1145/1143844.1143891).
 */

import * as check from '../check.js';
import { Runtime } from '../core/train.js';
import type { Builder } from '../nn/builder.js';
import { ctcBeamSearch, ctcBestPath, ctcLoss } from '../nn/ctc.js';
import { dropout } from '../nn/dropout.js';
import { MLP } from '../nn/mlp.js';
import { argmaxRows } from '../nn/predict.js';
import { Recurrent } from '../nn/recurrent/recurrent.js';
import type { State } from '../nn/recurrent/state.js';
import { type Options, option, readOptions, required, type Settings, whole } from '../options.js';
import type { Rows, Tape } from '../tape.js';
import { readVocabulary, Vocabulary } from '../text/vocabulary.js';
import type { FitHistory } from '../train/history.js';
import type { Run } from '../train/run.js';
import type { BatchOptions, BatchProgress, EpochOptions, EpochProgress } from './shared/batches.js';
import { BATCHES, encodeAll, encodeExamples, FIT_EXAMPLES } from './shared/batches.js';
import type { Examples } from './shared/flow.js';
import type { Encoded, InputOptions, Sequence } from './shared/inputs.js';
import { INPUT, inputOf, inputWidth, SequenceInput } from './shared/inputs.js';
import { editDistance } from './shared/metrics.js';
import type { Call } from './shared/passes.js';
import { HEAD } from './shared/pooled.js';
import { type StackOptions, stackOf, stackSchema } from './shared/stack.js';
import type { Stream } from './shared/stream.js';
import type { Kind, LoadOptions, Made, TaskOptions } from './shared/task.js';
import { create, createSync, load, loadSync, Task } from './shared/task.js';

const OWN = {
  /** The tokens of the output: a text, whose characters become the tokens, or a list of tokens. */
  target: required(readVocabulary),
};
const SCHEMA = { ...OWN, ...INPUT, ...stackSchema('lstm', 128), ...HEAD };

/** What a transcriber was created with, apart from its runtime and seed. */
export interface TranscriberConfig extends InputOptions, StackOptions, Options<typeof HEAD>, Options<typeof OWN> {}
export interface TranscriberOptions extends TaskOptions, TranscriberConfig {}

export interface TranscriberExample {
  readonly input: Sequence;
  /** At most as long as the input; each token that repeats the one before needs one step more. */
  readonly target: string | readonly string[];
  /** What it counts in the loss of `fit`, at least 0, default 1. Examples of a batch with the same weight are computed together. */
  readonly weight?: number | undefined;
}

const BEAM = {
  /** Prefixes that a beam search keeps; 1 decodes the best path. Default 1. */
  beamWidth: option(whole(1), 1),
};
const TRANSCRIBE = { ...BATCHES, ...BEAM };

export interface TranscribeOptions extends BatchOptions, Options<typeof BEAM> {}

export interface Transcript {
  readonly tokens: readonly string[];
  /** The tokens as a text: joined without separators if they are single characters, otherwise with spaces. */
  readonly text: string;
  /** With `beamWidth` above 1: the natural logarithm of the probability that the beam found. */
  readonly logProbability?: number;
}

export interface TranscriberReport {
  /** Mean over the examples of the loss divided by the length of the target, in nats. */
  readonly loss: number;
  /** Edit distance between predictions and targets, divided by the number of target tokens. */
  readonly errorRate: number;
  /** Fraction of the sequences without any error. */
  readonly exact: number;
}

/** Logits [T,B,V+1]; class 0 is the blank, token v is class v + 1. */
class Layers {
  readonly vocabulary: Vocabulary;

  constructor(
    readonly b: Builder,
    readonly settings: Settings<typeof SCHEMA>,
    readonly input: SequenceInput,
    readonly rnn: Recurrent,
    readonly head: MLP,
  ) {
    this.vocabulary = new Vocabulary(settings.target);
  }

  forward(tape: Tape, batch: readonly Encoded[], state?: State): Rows {
    const x = dropout(tape, this.b.random, this.input.forward(tape, batch), this.settings.inputDropout);
    return this.head.forward(tape, this.rnn.forward(tape, x, state).output);
  }

  /** The labels of the best path, or the best of a beam. */
  decode(tape: Tape, logits: Rows, beamWidth: number): { labels: number[]; logProbability?: number }[] {
    if (beamWidth > 1) return ctcBeamSearch(tape, logits, { beamWidth }).map(([best]) => best);
    return ctcBestPath(tape, logits).map((labels) => ({ labels }));
  }

  transcript(labels: readonly number[]): Transcript {
    const ids = labels.map((label) => label - 1);
    return { tokens: ids.map((id) => this.vocabulary.tokens[id]), text: this.vocabulary.decode(ids) };
  }
}

const KIND: Kind<Layers, typeof SCHEMA> = {
  task: 'transcriber',
  runtimes: Runtime,
  schema: SCHEMA,
  layers: (settings) => {
    const { target, hiddenLayers, outputDropout } = settings;
    const input = inputOf(settings);
    const stack = stackOf(settings, inputWidth(input));
    return (b) => {
      const reader = new SequenceInput(b, 'embedding', input);
      const rnn = new Recurrent(b, 'rnn', stack);
      const sizes = { inputSize: rnn.outputSize, outputSize: target.length + 1 };
      const head = new MLP(b, 'head', { ...sizes, hiddenLayers, dropout: outputDropout });
      return new Layers(b, settings, reader, rnn, head);
    };
  },
};

interface Item {
  readonly length: number;
  readonly input: Encoded;
  readonly labels: Int32Array;
}

/**
 * Transcribes a sequence into a shorter one.
 *
 * @example
 * const model = await Transcriber.create({ inputSize: 2, target: 'ab', hiddenSize: 8, seed: 1 });
 * await model.fit([{ input: [[1, 0], [0, 0], [0, 1]], target: 'ab' }], { epochs: 2 });
 * const [{ text }] = await model.predict([[[1, 0], [0, 1]]]);
 */
export class Transcriber extends Task<Layers, TranscriberConfig> {
  private constructor(made: Made<Layers, TranscriberConfig>) {
    super(made);
  }

  /** Its name, also where a bundler has shortened that of the class. */
  static get taskName() {
    return 'Transcriber' as const;
  }

  /**
   * A model with fresh weights.
   *
   * @throws TypeError, RangeError for invalid options; UnsupportedError where there is no WebAssembly SIMD
   */
  static async create(options: TranscriberOptions): Promise<Transcriber> {
    return new Transcriber(await create(KIND, options));
  }

  /** The same, synchronously, for workers, worklets and scripts. */
  static createSync(options: TranscriberOptions): Transcriber {
    return new Transcriber(createSync(KIND, options));
  }

  /** @throws FormatError for a file that is damaged or holds something else */
  static async load(bytes: Uint8Array | ArrayBuffer, options?: LoadOptions): Promise<Transcriber> {
    return new Transcriber(await load(KIND, bytes, options));
  }

  static loadSync(bytes: Uint8Array | ArrayBuffer, options?: LoadOptions): Transcriber {
    return new Transcriber(loadSync(KIND, bytes, options));
  }

  /** The tokens of the output. */
  get targetVocabulary(): Vocabulary {
    return this.model.layers.vocabulary;
  }

  /**
   * Trains on examples, shuffled in each epoch: a list, an iterable or async iterable that is read once, or a function that returns one
   * for each epoch. Called again it resumes, also after `save` and `load`.
   *
   * @throws before anything changes: RangeError, TypeError for invalid examples; NonFiniteError
   */
  fit(
    examples: Examples<TranscriberExample>,
    options: EpochOptions<TranscriberExample> = {},
  ): Run<EpochProgress<TranscriberReport>, FitHistory> {
    const settings = readOptions('fit', FIT_EXAMPLES, options);
    return this.learn(examples, options, settings, {
      ...this.#examples,
      loss: () => lossOf,
      measure: (items, how) => this.#measure(items, readOptions('evaluate', TRANSCRIBE, how)),
    });
  }

  /** How well it does on examples. */
  evaluate(
    examples: readonly TranscriberExample[],
    options: TranscribeOptions = {},
  ): Run<BatchProgress, TranscriberReport> {
    const settings = readOptions('evaluate', TRANSCRIBE, options);
    const { fields, encode } = this.#examples;
    const call = { method: 'evaluate', data: examples, options };
    return this.#measure(encodeExamples('examples', examples, fields, encode), settings, call);
  }

  #measure(items: readonly Item[], settings: Settings<typeof TRANSCRIBE>, call?: Call) {
    const n = items.length;
    let [loss, errors, tokens, exact] = [0, 0, 0, 0];
    const work = (tape: Tape, layers: Layers, batch: Item[]) => {
      const logits = layers.forward(tape, inputsOf(batch));
      const mean = ctcLoss(tape, logits, labelsOf(batch)).value;
      return { mean, decoded: layers.decode(tape, logits, settings.beamWidth) };
    };
    const count = ({ mean, decoded }: ReturnType<typeof work>, batch: Item[]) => {
      loss += mean * batch.length;
      decoded.forEach(({ labels }, b) => {
        const wrong = editDistance(labels, batch[b].labels);
        errors += wrong;
        tokens += batch[b].labels.length;
        if (wrong === 0) exact++;
      });
    };
    const report = (): TranscriberReport => ({ loss: loss / n, errorRate: errors / tokens, exact: exact / n });
    return this.measure(items, settings, work, count, report, call);
  }

  /** The transcripts of sequences, in their order. */
  predict(inputs: readonly Sequence[], options: TranscribeOptions = {}): Run<BatchProgress, Transcript[]> {
    const settings = readOptions('predict', TRANSCRIBE, options);
    const { input } = this.model.layers;
    const items = encodeAll('inputs', inputs, 'sequences', (place, sequence) => input.encode(place, sequence));
    const work = (tape: Tape, layers: Layers, batch: Encoded[]) =>
      layers
        .decode(tape, layers.forward(tape, batch), settings.beamWidth)
        .map(({ labels, ...score }) => ({ ...layers.transcript(labels), ...score }));
    return this.forEach(items, settings, work, { method: 'predict', data: inputs, options });
  }

  /**
   * A stream: after each step, the tokens that are new, by the best path. For models that read forward in time only.
   *
   * @param saved what `save` of a stream returned
   */
  stream(saved?: Uint8Array | ArrayBuffer): Stream<Sequence, Transcript> {
    const { layers } = this.model;
    const { bidirectional, reverse, cell } = layers.settings;
    if (bidirectional || reverse) throw new TypeError('stream: needs a model that reads forward in time only');
    return this.openStream(saved, {
      cell,
      start: () => ({ state: layers.rnn.state(1), values: { last: [0] } }),
      check: ({ last }) => {
        if (last.length !== 1) check.fail('last', 'one label', last);
        check.whole('last[0]', last[0], 0, layers.vocabulary.size);
      },
      step: (sequence: Sequence, { state, values }) => {
        const batch = [layers.input.encode('input', sequence)];
        const path = this.model.forward((tape) => argmaxRows(tape, layers.forward(tape, batch, state)));
        const [last] = values.last;
        values.last = [path[path.length - 1]];
        return layers.transcript([...path].filter((c, t) => c !== 0 && c !== (t > 0 ? path[t - 1] : last)));
      },
    });
  }

  get #examples() {
    const { input, vocabulary } = this.model.layers;
    const encode = (place: string, { input: sequence, target }: TranscriberExample): Item => {
      const encoded = input.encode(`${place}.input`, sequence);
      const name = `${place}.target`;
      const labels = vocabulary.encode(name, target).map((id) => id + 1);
      if (labels.length === 0) throw new RangeError(`${name}: expected at least one token`);
      const repeats = labels.filter((label, k) => k > 0 && label === labels[k - 1]).length;
      if (labels.length + repeats > encoded.length) {
        throw new RangeError(
          `${name}: ${labels.length} tokens, of which ${repeats} repeat the one before, need ${labels.length + repeats} steps; the input has ${encoded.length}`,
        );
      }
      return { length: encoded.length, input: encoded, labels };
    };
    return { fields: '{ input, target }', encode };
  }
}

const inputsOf = (batch: readonly Item[]) => batch.map(({ input }) => input);
const labelsOf = (batch: readonly Item[]) => batch.map(({ labels }) => labels);

function lossOf(tape: Tape, layers: Layers, batch: readonly Item[]) {
  return ctcLoss(tape, layers.forward(tape, inputsOf(batch)), labelsOf(batch));
}
