/** What a training says of itself when it goes wrong, once each. It looks at steps 50, 100, 200 … of a run, so that it costs next to nothing. */
import { NonFiniteError } from '../errors.js';
import type { Model } from '../nn/model.js';
import type { Call } from '../nn/recurrent/call.js';
import type { Direction } from '../nn/recurrent/direction.js';
import { gatesOf } from '../nn/recurrent/recurrent.js';
import { lossesOf, type Observer, pass, type Rows, Tape } from '../tape.js';
import type { Batch, Progress } from './fit.js';

/** Something that went wrong in a training. */
export interface Warning {
  /**
   * `'clipped'`: more than half of the updates so far; `'dead'`: half of the units of a layer receive no gradient; `'saturated'`: nine of ten
   * gates of a layer; `'chance'`: the outputs of other sequences of the batch give the same loss, within 2 %; `'overflow'`: a loss, gradient
   * or update that is not finite.
   */
  readonly kind: 'clipped' | 'dead' | 'saturated' | 'chance' | 'overflow';
  /** What was seen, and what may help. */
  readonly message: string;
}

/** Where slopes fall below a tenth of their largest value: σ(1 - σ) < 0.025, 1 - tanh² < 0.1. */
const SIGMOID = 0.9743;
const TANH = 0.9487;

/** Sequences of a batch, at least, of which some are likely to have different targets. */
const SEQUENCES = 8;

/** Every sequence gets the rows of the next one. */
function rotate({ tape, at, ld, T, B }: Rows): void {
  const { f32 } = tape.runtime;
  const n = ld / 4;
  for (let from = at / 4, t = 0; t < T; t++, from += B * n) {
    const first = f32.slice(from, from + n);
    f32.copyWithin(from, from + n, from + B * n);
    f32.set(first, from + (B - 1) * n);
  }
}

/** Makes the outputs of recurrent layers those of other sequences. */
class Rotation implements Observer {
  readonly dry = true;
  sequences = Infinity;

  leaving(output: Rows, finals: readonly Rows[]): void {
    this.sequences = Math.min(this.sequences, output.B);
    const end = output.at + output.T * output.B * output.ld;
    rotate(output);
    // a final state may be the last rows of the output
    for (const rows of finals) if (rows.at < output.at || rows.at >= end) rotate(rows);
  }
}

export class Warnings implements Observer {
  #made = 0;
  #clipped = 0;
  /** Norms of the first and of the last gradient. */
  #first = 0;
  #norm = 0;
  readonly #said = new Set<Warning['kind']>();
  readonly #waiting: Warning[] = [];
  /** What this look has seen, and the one before: what both have seen is said. */
  #seen = new Map<Warning['kind'], string>();
  #before = new Map<Warning['kind'], string>();

  constructor(
    readonly model: Model<unknown>,
    readonly clipNorm: number,
  ) {}

  /** Whether the running step is one that is looked at. */
  get #looks(): boolean {
    const n = (this.#made + 1) / 50;
    return Number.isInteger(n) && (n & (n - 1)) === 0;
  }

  /** A batch as the step takes it: where the step is looked at, its loss is computed a second time, with the outputs of other sequences. */
  watch<L>(batch: Batch<L>): Batch<L> {
    const { loss: work } = batch;
    // of a batch in parts, only the numbers of the whole are looked at
    if (!this.#looks || !work) return batch;
    this.model.observer ??= this;
    const sum = (result: unknown) => lossesOf(result).reduce((s, { loss, weight }) => s + weight * loss.value, 0);
    const loss: typeof work = (tape, layers) => {
      const rotation = new Rotation();
      const { next } = this.model.random;
      const blocks = { ...next };
      const other = pass(new Tape(tape.runtime, false, [], rotation), (own) => sum(work(own, layers)));
      // what a loss draws, scheduled sampling say, is drawn again
      Object.assign(next, blocks);
      const result = work(tape, layers);
      const value = sum(result);
      const { sequences } = rotation;
      if (sequences >= SEQUENCES && sequences < Infinity && other - value <= 0.02 * Math.abs(other)) {
        const [own, others] = [value, other].map((x) => x.toPrecision(4));
        this.#seen.set('chance', `the loss is that of chance: ${own}, and ${others} with outputs of other sequences`);
      }
      return result;
    };
    return { ...batch, loss };
  }

  layer(tape: Tape, direction: object, call: object, { lengths, B }: Rows) {
    const { H, wih, settings } = direction as Direction;
    const gates = () => Object.entries(gatesOf(tape, direction as Direction, call as Call));
    const see = (kind: Warning['kind'], share: number, least: number, of: string) => {
      const name = wih.name.replace('.weight_ih_', ' ');
      // the last layer comes first: what it holds back is missing in those before it
      if (share > least && !this.#seen.has(kind))
        this.#seen.set(
          kind,
          `${name}: ${Math.round(100 * share)} % of its ${of}: lower learningRate, or change the initializers`,
        );
    };
    let [count, ends] = [0, 0];
    const { activation = 'tanh', gateActivation = 'sigmoid' } = settings.own;
    for (const [gate, values] of activation === 'tanh' && gateActivation === 'sigmoid' ? gates() : []) {
      const [low, high] = 'ifozr'.includes(gate) ? [1 - SIGMOID, SIGMOID] : [-TANH, TANH];
      values.forEach((value, i) => {
        const row = Math.floor(i / H);
        if (lengths && Math.floor(row / B) >= lengths.values[row % B]) return;
        count++;
        if (value < low || value > high) ends++;
      });
    }
    see('saturated', ends / count, 0.9, 'gates are saturated');
    const done = () => {
      const alive = new Set<number>();
      for (const [, values] of gates()) values.forEach((value, i) => value && alive.add(i % H));
      see('dead', 1 - alive.size / H, 0.5, 'units receive no gradient');
    };
    return { flowH: 0, flowC: 0, done };
  }

  /** What there is to say after a step: of kinds that were found together, one after each step. */
  after({ gradientNorm }: Progress): { warning?: Warning } {
    const { clipNorm, model } = this;
    const looked = this.#looks;
    this.#made++;
    this.#norm = gradientNorm;
    this.#first ||= gradientNorm;
    if (clipNorm > 0 && gradientNorm > clipNorm) this.#clipped++;
    if (looked) {
      if (model.observer === this) model.observer = null;
      if (2 * this.#clipped > this.#made)
        this.#seen.set(
          'clipped',
          `${this.#clipped} of ${this.#made} updates were clipped: raise clipNorm, or lower learningRate`,
        );
      for (const [kind, message] of this.#seen) {
        if (!this.#before.has(kind) || this.#said.has(kind)) continue;
        this.#said.add(kind);
        this.#waiting.push({ kind, message });
      }
      this.#before = this.#seen;
      this.#seen = new Map();
    }
    const warning = this.#waiting.shift();
    return warning ? { warning } : {};
  }

  /** The likely cause of a number that is not finite, which the error then names too; null for other errors. */
  overflow(error: unknown): Warning | null {
    if (this.model.observer === this) this.model.observer = null;
    if (!(error instanceof NonFiniteError)) return null;
    const rise = this.#norm / this.#first;
    const cause =
      this.#made === 0
        ? 'inputs, targets or weights that are too large'
        : rise > 10
          ? `exploding gradients, whose norm rose ${rise.toPrecision(2)} times; clipNorm is ${this.clipNorm}`
          : 'a learningRate that is too high';
    error.message += `. The likely cause: ${cause}`;
    return { kind: 'overflow', message: error.message };
  }
}
