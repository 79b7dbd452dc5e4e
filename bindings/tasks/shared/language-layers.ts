/** What a language model is made of: embedding → recurrent stack → linear. */

import { CELL_NAMES, gatesOf, hasRecurrentWeights } from '../../cells/index.js';
import * as check from '../../check.js';
import { Runtime } from '../../core/train.js';
import { FormatError } from '../../errors.js';
import { Embedding } from '../../nn/embedding.js';
import { Linear } from '../../nn/linear.js';
import { softmaxRows } from '../../nn/predict.js';
import { Recurrent } from '../../nn/recurrent/recurrent.js';
import type { State } from '../../nn/recurrent/state.js';
import { type Options, option, required, type Settings, whole } from '../../options.js';
import type { Rows, Tape } from '../../tape.js';
import { readVocabulary, Vocabulary } from '../../text/vocabulary.js';
import type { Checkpoint } from '../../train/checkpoint.js';
import type { Kind } from './kind.js';
import { type OneWayOptions, oneWaySchema, stackOf } from './stack.js';
import { type Position, readPosition } from './text-position.js';

const OWN = {
  /** A text, whose characters become the tokens, or a list of tokens. */
  vocabulary: required(readVocabulary),
  /** Features of a token's vector, default 64. */
  embeddingSize: option(whole(1), 64),
  /** Whether the output layer uses the embedding as its weights. Then `embeddingSize` equals the last `hiddenSize`. Default false. */
  tieWeights: option(check.flag, false),
};
const SCHEMA = { ...OWN, ...oneWaySchema('lstm', 128) };

/** What a language model was created with, apart from its runtime and seed. */
export interface LanguageModelConfig extends OneWayOptions, Options<typeof OWN> {}
/** What comes next. */
export interface NextToken {
  /** The most probable token. */
  readonly token: string;
  /** [V] the probability of each token of the vocabulary. */
  readonly probabilities: Float32Array;
}

export class LanguageLayers {
  readonly vocabulary: Vocabulary;

  constructor(
    readonly settings: Settings<typeof SCHEMA>,
    readonly embedding: Embedding,
    readonly rnn: Recurrent,
    readonly head: Linear,
  ) {
    this.vocabulary = new Vocabulary(settings.vocabulary);
  }

  /** Logits [T,B,V] for tokens [T,B]. */
  forward(tape: Tape, tokens: Int32Array, T: number, B: number, state: State, carry = T): Rows {
    const x = this.embedding.forward(tape, tokens, { T, B });
    return this.head.forward(tape, this.rnn.forward(tape, x, state, { carry }).output);
  }

  /** Reads tokens without their predictions. */
  read(tape: Tape, tokens: Int32Array, state: State): void {
    this.rnn.forward(tape, this.embedding.forward(tape, tokens, { T: tokens.length, B: 1 }), state);
  }

  /** What the rows of logits say, one by one. */
  next(tape: Tape, logits: Rows): NextToken[] {
    const all = softmaxRows(tape, logits);
    const V = logits.F;
    return Array.from({ length: logits.B }, (_, b) => {
      const probabilities = all.slice(b * V, (b + 1) * V);
      const best = probabilities.reduce((top, p, v) => (p > probabilities[top] ? v : top), 0);
      return { token: this.vocabulary.tokens[best], probabilities };
    });
  }
}

export const KIND: Kind<LanguageLayers, typeof SCHEMA> = {
  task: 'language-model',
  runtimes: Runtime,
  schema: SCHEMA,
  layers: (settings) => {
    const { vocabulary, embeddingSize, tieWeights } = settings;
    const stack = stackOf(settings, embeddingSize);
    return (b) => {
      const embedding = new Embedding(b, 'embedding', { vocabularySize: vocabulary.length, embeddingSize });
      const rnn = new Recurrent(b, 'rnn', stack);
      const { outputSize: inputSize } = rnn;
      if (tieWeights && inputSize !== embeddingSize) {
        throw new RangeError(
          `tieWeights: expected embeddingSize equal to the output of the recurrent layers, got ${embeddingSize} and ${inputSize}`,
        );
      }
      const tied = tieWeights ? { weight: embedding.weight } : {};
      const head = new Linear(b, 'head', { inputSize, outputSize: vocabulary.length, ...tied });
      return new LanguageLayers(settings, embedding, rnn, head);
    };
  },
  infer,
  resumption: {
    position: readPosition,
    carried: ({ rnn }, position) => {
      const { next, batchSize: batch } = position as Position;
      return next > 0 ? { ...rnn.stateSizes, batch } : null;
    },
  },
};

/** The options of a file without a description, from the shapes of its tensors. */
function infer({ tensors, metadata }: Checkpoint): Record<string, unknown> {
  const embedding = tensors.get('embedding.weight')?.shape;
  const shape = tensors.get('rnn.weight_hh_l0')?.shape;
  if (embedding?.length !== 2 || shape?.length !== 2) {
    throw new FormatError(
      'the file has no description, and no `embedding.weight` and `rnn.weight_hh_l0` to infer one from',
    );
  }
  const gates = shape[0] / shape[1];
  const cell = CELL_NAMES.find((name) => hasRecurrentWeights(name) && gatesOf(name).length === gates);
  if (!cell) throw new FormatError(`rnn.weight_hh_l0: shape [${shape.join(', ')}] does not belong to a known cell`);
  const vocabulary = metadata.vocabulary ?? metadata.vocab;
  return {
    ...(vocabulary === undefined ? {} : { vocabulary: [...vocabulary] }),
    cell,
    hiddenSize: shape[1],
    numLayers: [...tensors.keys()].filter((name) => /^rnn\.weight_hh_l\d+$/.test(name)).length,
    embeddingSize: embedding[1],
  };
}
