/** Layers one after the other, over whole sequences and step by step. */
import * as check from '../check.js';
import type { Rows, Tape } from '../tape.js';
import type { Builder } from './builder.js';
import { Embedding } from './embedding.js';
import { input, read, type Shape } from './input.js';
import { State } from './recurrent/state.js';

/** Rows to rows: a function, or a layer with a `forward`, such as `Linear`, `LayerNorm`, `MLP`. */
export type Link = ((tape: Tape, x: Rows) => Rows) | { forward(tape: Tape, x: Rows): Rows };

/** A layer with states: `Recurrent`, or `Conv1d` of `gatewise/functions`. */
export interface Stateful {
  readonly bidirectional: boolean;
  /** Features of the states of each layer and direction. */
  readonly stateSizes: { readonly h: readonly number[]; readonly c: readonly number[] };
  state(batch?: number): State;
  forward(tape: Tape, x: Rows, state?: State): Rows | { readonly output: Rows };
}

const isStateful = (layer: Link | Stateful): layer is Stateful => 'stateSizes' in layer;

/** Tokens [T,B] and their shape: what a chain that begins with an `Embedding` reads. */
export interface Tokens extends Shape {
  tokens: ArrayLike<number>;
}

/**
 * Layers one after the other. `forward` runs them over a sequence, `step` over the next step of a stream, with the same bits.
 *
 * @example
 * ```js
 * import { Embedding, Linear, Model, Recurrent, Runtime } from 'gatewise';
 * import { Sequential } from 'gatewise/functions';
 *
 * const model = new Model(await Runtime.create(), 1, (b) => {
 *   const embedding = new Embedding(b, 'embedding', { vocabularySize: 5, embeddingSize: 3 });
 *   const rnn = new Recurrent(b, 'rnn', { cell: 'lstm', inputSize: 3, hiddenSize: 4 });
 *   return new Sequential(b, [embedding, rnn, new Linear(b, 'head', { inputSize: 4, outputSize: 2 })]);
 * });
 * const state = model.layers.state();
 * for (const token of [4, 0, 2]) console.log(model.layers.step([token], state).length); // 2
 * ```
 */
export class Sequential {
  readonly #builder: Builder;
  readonly #first: Embedding | undefined;
  readonly #links: readonly (Link | Stateful)[];
  readonly #recurrent: readonly Stateful[];

  /**
   * @param layers in their order; an `Embedding` can only be the first
   * @throws TypeError for what is not a layer
   */
  constructor(builder: Builder, layers: readonly (Embedding | Stateful | Link)[]) {
    check.layer(builder, 'layers');
    if (!Array.isArray(layers) || layers.length === 0) check.fail('layers', 'a list of layers', layers);
    this.#builder = builder;
    const [first, ...rest] = layers;
    this.#first = first instanceof Embedding ? first : undefined;
    this.#links = (this.#first ? rest : layers).map((layer, i) => {
      const known = typeof layer === 'function' || typeof layer?.forward === 'function';
      if (!known || layer instanceof Embedding) {
        check.fail(`layers[${this.#first ? i + 1 : i}]`, 'a layer or a function of rows', layer);
      }
      return layer as Link | Stateful;
    });
    this.#recurrent = this.#links.filter(isStateful);
  }

  /** The state of all recurrent layers, for B sequences: zeros, or the learned initial states. `saveState` writes it to a file. */
  state(batch = 1): State {
    const states = this.#recurrent.map((layer) => layer.state(batch));
    check.whole('batch', batch);
    return new State(
      batch,
      states.flatMap(({ h }) => h),
      states.flatMap(({ c }) => c),
    );
  }

  /**
   * Runs all layers over sequences.
   *
   * @param x [T,B,I], or tokens where the first layer is an `Embedding`
   * @param state where the recurrent layers start; overwritten with the final states. Default: zeros, or the learned initial states
   * @returns [T,B,F] of the last layer
   */
  forward(tape: Tape, x: Rows | Tokens, state?: State): Rows {
    this.#builder.accept(tape);
    if (state) this.#check(state);
    let rows: Rows;
    if (this.#first) {
      if (typeof x !== 'object' || !('tokens' in x)) check.fail('x', '{ tokens, T, B }', x);
      const { tokens, ...shape } = x;
      rows = this.#first.forward(tape, tokens, shape);
    } else rows = x as Rows;
    let [h, c] = [0, 0];
    for (const layer of this.#links) {
      if (isStateful(layer)) {
        const sizes = layer.stateSizes;
        const [fromH, fromC] = [h, c];
        h += sizes.h.length;
        c += sizes.c.length;
        // the arrays are those of the whole state
        const own = state && new State(state.batch, state.h.slice(fromH, h), state.c.slice(fromC, c));
        const result = layer.forward(tape, rows, own);
        rows = 'output' in result ? result.output : result;
      } else rows = typeof layer === 'function' ? layer(tape, rows) : layer.forward(tape, rows);
    }
    return rows;
  }

  /**
   * One step of B sequences, for streams.
   *
   * @param x [B,I], or B tokens where the first layer is an `Embedding`
   * @param state overwritten with the state after the step
   * @returns [B,F] of the last layer
   * @throws TypeError where a layer is bidirectional
   */
  step(x: ArrayLike<number>, state: State): Float32Array {
    check.made('state', state, 'clone', 'a State');
    const { batch: B } = state;
    if (this.#recurrent.some(({ bidirectional }) => bidirectional))
      throw new TypeError('step: a bidirectional layer needs the whole sequence; use forward');
    const F = this.#first ? 1 : x?.length / B;
    if (x?.length !== B * F || !Number.isInteger(F) || F < 1) check.fail('x', `numbers of ${B} sequences`, x);
    return this.#builder.forward((tape) => {
      const rows = this.#first ? { tokens: x, T: 1, B } : input(tape, x, { T: 1, B, F });
      return read(tape, this.forward(tape, rows, state));
    });
  }

  #check(state: State): void {
    check.made('state', state, 'clone', 'a State');
    for (const kind of ['h', 'c'] as const) {
      const n = this.#recurrent.reduce((sum, { stateSizes }) => sum + stateSizes[kind].length, 0);
      if (state[kind].length !== n) check.fail(`state.${kind}`, `${n} lists, those of this chain`, state[kind]);
    }
  }
}
