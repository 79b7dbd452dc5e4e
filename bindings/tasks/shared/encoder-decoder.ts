/** Encoders and a decoder, joined by a context and, where wanted, by attention: the layers of Seq2Seq. */
import * as check from '../../check.js';
import { Attention, type AttentionMemory } from '../../nn/attention.js';
import type { Builder } from '../../nn/builder.js';
import { dropout } from '../../nn/dropout.js';
import { Embedding } from '../../nn/embedding.js';
import { read } from '../../nn/input.js';
import { Linear } from '../../nn/linear.js';
import { crossEntropyLoss } from '../../nn/losses.js';
import { meanPool } from '../../nn/pool.js';
import { argmaxRows, uniform } from '../../nn/predict.js';
import type { RecurrentOptions } from '../../nn/recurrent/options.js';
import { Recurrent } from '../../nn/recurrent/recurrent.js';
import type { State, StateRows } from '../../nn/recurrent/state.js';
import { activation, concat, expand } from '../../nn/rows.js';
import type { Reader, Settings } from '../../options.js';
import { object, oneOf, option, optional, rate, recordOf, required } from '../../options.js';
import type { Loss, Rows, Tape } from '../../tape.js';
import { readVocabulary, Vocabulary } from '../../text/vocabulary.js';
import { type Found, search } from './beam.js';
import { Bridge, copies, type Draft, drafts, shifted, startState, writeTokens } from './decoding.js';
import { type Encoded, INPUT, type InputConfig, type InputOptions, SequenceInput } from './inputs.js';

/** What one encoder reads, or, by their names, what several read. */
export type Sources = InputOptions | Readonly<Record<string, InputOptions>>;

export const isOne = (source: object): boolean => ['vocabulary', 'features', 'inputSize'].some((key) => key in source);
const readInput = object(INPUT);
const readInputs = recordOf(readInput, 'options of an input, or several by their names');
const readSources: Reader<Sources> = (name, value) =>
  typeof value === 'object' && value !== null && isOne(value) ? readInput(name, value) : readInputs(name, value);
const readAttention = oneOf('dot', 'general', 'additive');

export const ENCODER_DECODER = {
  /** What the encoder reads, or, by their names, what several encoders read. */
  source: required(readSources),
  /** What the decoder writes: a text, whose characters are the tokens, or a list of tokens. */
  target: required(readVocabulary),
  /** Features of a target token's vector, default 64. */
  embeddingSize: option(check.whole, 64),
  /** c: the encoder's final state, an affine map and tanh of it, or the mean of all its outputs. Default `'last'`. */
  context: option(oneOf('last', 'affine', 'mean'), 'last'),
  /** Whether c makes the decoder's initial state, is an input at every step, or both. Default `'state'`. */
  pass: option(oneOf('state', 'input', 'both'), 'state'),
  /**
   * What is between c and the initial state of each layer: nothing, an affine map, or an affine map and tanh. Default `'tanh'`. `'none'`
   * needs c and all layers of the decoder of one size: c is their h, and cell states start from zeros.
   */
  bridge: optional(oneOf('none', 'affine', 'tanh')),
  /** How the decoder's state is compared with the encoder's outputs at each step. Default: the decoder does not read them. */
  attention: optional(readAttention),
  /** Share of the inputs that is dropped in training, default 0. */
  inputDropout: option(rate, 0),
  /** Share of what the output layer reads that is dropped in training, default 0. */
  outputDropout: option(rate, 0),
};
export type AttentionScore = ReturnType<typeof readAttention>;

/** An encoder's input; the only one has no name. */
interface SourceInput {
  readonly name: string;
  readonly input: InputConfig;
}

/** Sources as numbers, encoder by encoder. */
export interface Source {
  readonly length: number;
  readonly sources: readonly Encoded[];
}

export interface Item extends Source {
  readonly target: Int32Array;
}

/** What the decoder sees of the sources. */
interface Memory {
  readonly context: Rows;
  readonly keys: readonly AttentionMemory[];
  readonly state: StateRows | undefined;
}

/** What was written, and by encoder [encoders][tokens] where the decoder looked. */
interface Attended extends Draft {
  readonly weights: Float32Array[][];
}

export class EncoderDecoder {
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
    readonly settings: Settings<typeof ENCODER_DECODER>,
    readonly sources: readonly SourceInput[],
    encoders: readonly RecurrentOptions[],
    stack: Omit<RecurrentOptions, 'inputSize'>,
  ) {
    const { embeddingSize, context, pass, bridge, attention: score } = settings;
    const named = (prefix: string, k: number) => (sources[k].name ? `${prefix}.${sources[k].name}` : prefix);
    this.vocabulary = new Vocabulary(settings.target);
    const { size } = this.vocabulary;
    this.end = size;
    this.start = size + 1;
    this.inputs = sources.map(({ input }, k) => new SequenceInput(b, named('source', k), input));
    this.encoders = encoders.map((options, k) => new Recurrent(b, named('encoder', k), options));
    const width = [stack.hiddenSize].flat().at(-1) as number;
    const mapped = context === 'affine' ? this.encoders : [];
    this.affine = mapped.map(
      ({ finalSize }, k) => new Linear(b, named('context', k), { inputSize: finalSize, outputSize: width }),
    );
    const sizes = this.encoders.map((rnn) => ({ last: rnn.finalSize, affine: width, mean: rnn.outputSize })[context]);
    const contextSize = sizes.reduce((n, own) => n + own, 0);
    this.embedding = new Embedding(b, 'embedding', { vocabularySize: size + 2, embeddingSize });
    const inputSize = embeddingSize + (pass === 'state' ? 0 : contextSize);
    this.decoder = new Recurrent(b, 'decoder', { ...stack, inputSize });
    this.bridge = pass === 'input' ? null : new Bridge(b, 'bridge', contextSize, this.decoder.stateSizes, bridge);
    const querySize = this.decoder.outputSize;
    const attended = score ? this.encoders : [];
    this.attentions = attended.map(({ outputSize: keySize }, k) => {
      const attentionSize = score === 'additive' ? { attentionSize: querySize } : {};
      return new Attention(b, named('attention', k), { score: score ?? 'dot', querySize, keySize, ...attentionSize });
    });
    const seen = attended.reduce((n, { outputSize }) => n + outputSize, querySize);
    this.combine = score ? new Linear(b, 'combine', { inputSize: seen, outputSize: querySize, bias: false }) : null;
    this.head = new Linear(b, 'head', { inputSize: querySize, outputSize: size + 1 });
  }

  /** Reads the sources of a batch. */
  encode(tape: Tape, batch: readonly { readonly sources: readonly Encoded[] }[]): Memory {
    const { context, inputDropout } = this.settings;
    const outputs: Rows[] = [];
    const contexts = this.encoders.map((rnn, k) => {
      const own = batch.map(({ sources }) => sources[k]);
      const x = dropout(tape, this.b.random, this.inputs[k].forward(tape, own), inputDropout);
      const { output, h } = rnn.forward(tape, x);
      outputs.push(output);
      if (context === 'mean') return meanPool(tape, output);
      const last = h.slice(rnn.bidirectional ? -2 : -1);
      const final = last.length > 1 ? concat(tape, last) : last[0];
      return context === 'affine' ? activation(tape, this.affine[k].forward(tape, final), 'tanh') : final;
    });
    const all = contexts.length > 1 ? concat(tape, contexts) : contexts[0];
    const state = this.bridge?.forward(tape, all);
    return { context: all, keys: this.attentions.map((attention, k) => attention.prepare(tape, outputs[k])), state };
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
    if (pass !== 'state') x = concat(tape, [x, expand(tape, context, { T, lengths })]);
    const result = this.decoder.forward(tape, x, state);
    let y = result.output;
    const weights: Rows[] = [];
    if (this.combine) {
      const seen = this.attentions.map((attention, k) => {
        const own = attention.forward(tape, result.output, keys[k]);
        weights.push(own.weights);
        return own.context;
      });
      y = activation(tape, this.combine.forward(tape, concat(tape, [...seen, result.output])), 'tanh');
    }
    return { logits: this.head.forward(tape, dropout(tape, random, y, outputDropout)), state: result, weights };
  }

  /** Writes for a batch; `pick` chooses a class for each row of logits. */
  write(
    tape: Tape,
    memory: Memory,
    batch: readonly Source[],
    maxLength: number,
    pick: (tape: Tape, logits: Rows) => Int32Array,
  ): Attended[] {
    const all = drafts(batch.length).map((own): Attended => ({ ...own, weights: this.attentions.map(() => []) }));
    const state = startState(tape, this.decoder, memory.state, batch.length);
    writeTokens(tape, this, all, maxLength, (tokens) => {
      const { logits, weights } = this.decode(tape, memory, tokens, 1, state);
      weights.forEach((rows, k) => {
        const numbers = read(tape, rows);
        all.forEach((own, b) => {
          const at = b * rows.F;
          if (!own.complete) own.weights[k].push(numbers.slice(at, at + batch[b].sources[k].length));
        });
      });
      return pick(tape, logits);
    });
    return all;
  }

  /** Hypotheses for one example, best first. */
  beam(tape: Tape, own: Source, options: Parameters<typeof search>[2]): Found[] {
    const memory = this.encode(tape, [own]);
    const first = startState(tape, this.decoder, memory.state, 1);
    return search(tape, this, options, first, (tokens, state) => {
      const wide = tokens.length === 1 ? memory : widened(tape, memory, tokens.length);
      return this.decode(tape, wide, tokens, 1, state).logits;
    });
  }
}

const targetsOf = (batch: readonly Item[]) => batch.map(({ target }) => target);

/** The loss where the decoder reads the right tokens: all steps in one call. */
export function forced(tape: Tape, layers: EncoderDecoder, memory: Memory, batch: readonly Item[]): Loss {
  const { T, lengths, tokens, classes } = shifted(layers, targetsOf(batch));
  const { logits } = layers.decode(tape, memory, tokens, T, memory.state, lengths);
  return crossEntropyLoss(tape, logits, classes);
}

/** The loss where it reads the right token with probability `right`, else its own: step by step. */
export function scheduled(tape: Tape, layers: EncoderDecoder, memory: Memory, batch: readonly Item[], right: number) {
  const { T, B, lengths, tokens, classes } = shifted(layers, targetsOf(batch));
  const u = uniform(tape, layers.b.random, T * B);
  const total = lengths.reduce((n, length) => n + length, 0);
  let { state } = memory;
  let own = new Int32Array(B);
  return Array.from({ length: T }, (_, t) => {
    const given = Int32Array.from({ length: B }, (_, b) =>
      t === 0 || u[t * B + b] < right ? tokens[t * B + b] : own[b],
    );
    const step = layers.decode(tape, memory, given, 1, state);
    state = step.state;
    own = argmaxRows(tape, step.logits).map((id) => (id === layers.end ? layers.start : id));
    const here = classes.slice(t * B, (t + 1) * B);
    const counted = here.reduce((n, c) => n + (c >= 0 ? 1 : 0), 0);
    return { loss: crossEntropyLoss(tape, step.logits, here), weight: counted / total };
  });
}

/** What one example left, B times. */
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
