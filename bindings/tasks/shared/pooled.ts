/**
 * A sequence as one vector: inputs → recurrent stack → the final state, or the mean, the maximum or an attention-weighted sum of all
 * states → linear layers.
 */
import * as check from '../../check.js';
import type { Builder } from '../../nn/builder.js';
import { dropout } from '../../nn/dropout.js';
import { MLP } from '../../nn/mlp.js';
import { AttentionPool, maxPool, meanPool } from '../../nn/pool.js';
import { Recurrent } from '../../nn/recurrent/recurrent.js';
import type { State } from '../../nn/recurrent/state.js';
import { concat } from '../../nn/rows.js';
import { listOf, type Options, oneOf, option, rate, type Settings } from '../../options.js';
import type { Rows, Tape } from '../../tape.js';
import { type Encoded, INPUT, type InputOptions, inputOf, inputWidth, type Sequence, SequenceInput } from './inputs.js';
import { type StackOptions, stackOf, stackSchema } from './stack.js';
import type { Source } from './stream.js';

/** Options of the layers between the recurrent ones and the output. */
export const HEAD = {
  /** Widths of the layers before the output, default none. */
  hiddenLayers: option(listOf(check.whole, 'a list of widths'), []),
  /** Share of the inputs that is dropped in training, default 0. */
  inputDropout: option(rate, 0),
  /** Share of what each output layer reads that is dropped in training, default 0. */
  outputDropout: option(rate, 0),
};

const POOLING = {
  /** What stands for the whole sequence: its final state, or the mean, the maximum or a weighted sum of all. Default `'last'`. */
  pooling: option(oneOf('last', 'mean', 'max', 'attention'), 'last'),
};

export const POOLED = { ...INPUT, ...stackSchema('lstm', 128), ...HEAD, ...POOLING };

export interface PooledOptions extends InputOptions, StackOptions, Options<typeof HEAD>, Options<typeof POOLING> {}

type PooledSettings = Settings<typeof POOLED>;

/** Checks what the options say together; what builds the layers. */
export function pooledLayers<S extends PooledSettings>(
  settings: S,
  outputSize: number,
): (b: Builder) => PooledLayers<S> {
  const input = inputOf(settings);
  const stack = stackOf(settings, inputWidth(input));
  return (b) => {
    const { pooling, hiddenLayers, outputDropout } = settings;
    const reader = new SequenceInput(b, 'embedding', input);
    const rnn = new Recurrent(b, 'rnn', stack);
    const size = rnn.outputSize;
    const pool =
      pooling === 'attention' ? new AttentionPool(b, 'pool', { inputSize: size, attentionSize: size }) : null;
    const inputSize = pooling === 'last' ? rnn.finalSize : size;
    const head = new MLP(b, 'head', { inputSize, outputSize, hiddenLayers, dropout: outputDropout });
    return new PooledLayers(b, settings, reader, rnn, pool, head);
  };
}

export class PooledLayers<S extends PooledSettings> {
  constructor(
    readonly b: Builder,
    readonly settings: S,
    readonly input: SequenceInput,
    readonly rnn: Recurrent,
    readonly pool: AttentionPool | null,
    readonly head: MLP,
  ) {}

  /** [1,B,outputs] */
  forward(tape: Tape, batch: readonly Encoded[], state?: State): Rows {
    const x = dropout(tape, this.b.random, this.input.forward(tape, batch), this.settings.inputDropout);
    const { output, h } = this.rnn.forward(tape, x, state);
    return this.head.forward(tape, this.#pooled(tape, output, h));
  }

  #pooled(tape: Tape, output: Rows, h: readonly Rows[]): Rows {
    const { pooling } = this.settings;
    if (this.pool) return this.pool.forward(tape, output).output;
    if (pooling !== 'last') return pooling === 'mean' ? meanPool(tape, output) : maxPool(tape, output);
    const last = h.slice(this.rnn.bidirectional ? -2 : -1);
    return last.length > 1 ? concat(tape, last) : last[0];
  }

  /** The same for the inputs of examples. */
  forwardAll(tape: Tape, batch: readonly { readonly input: Encoded }[]): Rows {
    const inputs = batch.map(({ input }) => input);
    return this.forward(tape, inputs);
  }

  /**
   * How a stream reads.
   *
   * @param results what the output of a batch says, sequence by sequence
   */
  reader<P>(results: (tape: Tape, y: Rows) => readonly P[]): Pick<Source<Sequence, P>, 'cell' | 'start' | 'step'> {
    const { bidirectional, reverse, pooling, cell } = this.settings;
    if (bidirectional || reverse || pooling !== 'last') {
      throw new TypeError("stream: needs a model that reads forward in time only, with pooling: 'last'");
    }
    return {
      cell,
      start: () => ({ state: this.rnn.state(1), values: {} }),
      step: (sequence, { state }) => {
        const encoded = this.input.encode('input', sequence);
        return this.b.forward((tape) => results(tape, this.forward(tape, [encoded], state))[0]);
      },
    };
  }
}
