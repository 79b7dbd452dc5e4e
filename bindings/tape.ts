/**
 * Reverse-mode differentiation over layers: the forward pass of each layer records one function that turns the gradient of its output
 * into the gradients of its inputs and parameters. The backward pass runs these functions in reverse order.
 *
 * Everything lies in the arena of one pass and is gone when the pass ends. Gradients of activations start at zero and are accumulated.
 */
import * as check from './check.js';
import { align, type Runtime } from './core/runtime.js';
import type { Random } from './random.js';

/**
 * R = T·B rows of F numbers on a tape: row t·B + b is step t of sequence b. Rows are valid until the pass in which they were made
 * ends; later they are refused. `read` copies their numbers.
 */
export interface Rows {
  /** Steps. */
  readonly T: number;
  /** Sequences. */
  readonly B: number;
  /** Features. */
  readonly F: number;
  /** Length of each sequence; absent where all have T steps. */
  readonly lengths?: Lengths | undefined;
  /** The tape of the pass in which they were made. */
  readonly tape: Tape;
  /** For authors of layers: the address of the numbers in the core, rows `ld` bytes apart. */
  readonly at: number;
  readonly ld: number;
  /** Address of the gradient, with the same layout; 0 where none is computed. */
  readonly grad: number;
  /** The index of the function on the tape that takes their gradient, -1 if they are an input of the first one: later ones add to it. */
  readonly made: number;
  /** The distinct rows, in training, of rows that repeat: what is linear in x is computed from them alone. Found when first asked for. */
  readonly unique?: (() => Unique | undefined) | undefined;
}

/** Each distinct row once, and the address of T·B integers: which of them each row is; negative: the row is zero. */
export interface Unique {
  readonly rows: Rows;
  readonly index: number;
}

/** The lengths of sequences, and their address in the core. */
export interface Lengths {
  readonly at: number;
  readonly values: Int32Array;
}

/** A loss on a tape. */
export interface Loss {
  readonly value: number;
  /** Adds `scale` times the gradient of this loss to what the backward pass computes. `valueAndGrad` calls it. */
  readonly addGradient: (scale: number) => void;
}

/** What a forward pass returns to be minimised: a loss, or the sum of several, each times its weight. */
export type Minimised = Loss | readonly { readonly loss: Loss; readonly weight: number }[];

/** The gradient of rows, once the backward pass has computed it. */
export interface Gradient {
  /** [T,B,F]; null until the backward pass has run. */
  readonly values: Float32Array | null;
}

/** Where gradients of a layer's states are to be written, zeroed and with the layout of the states; 0 where nobody reads them. */
export interface Seen {
  readonly flowH: number;
  readonly flowC: number;
  /** Called once they are there. */
  done(): void;
}

/** For tools: sees the backward pass of recurrent layers. `gatewise/dynamics` has one. */
export interface Observer {
  /** Whether no `State` is moved on. */
  readonly dry?: boolean;
  /** Called with the outputs and the final states of a stack before others read them; it may change them. */
  leaving?(output: Rows, finals: readonly Rows[]): void;
  /** Called once the gradient of the outputs of a stack is complete; it may change it. */
  entering?(output: Rows): void;
  /** Called before the backward pass of a layer in one direction, when its gates are still there: a `Direction`, and its `Call`. */
  layer?(tape: Tape, direction: object, call: object, output: Rows, reverse: boolean): Seen;
}

/** The tape of the running pass. Passes nest; only the innermost tape takes calls. */
let running: Tape | null = null;

/** One forward pass, and the backward pass that may follow. A model makes it and gives it to the function that runs its layers. */
export class Tape {
  /** Whether this module can train: false in gatewise/infer. */
  static readonly training: boolean = true;
  readonly #steps: (() => void)[] = [];
  readonly #own: Set<Rows> | undefined;
  readonly #watched: { made: number; take: () => void }[] = [];

  constructor(
    readonly runtime: Runtime,
    /** Whether this is training: dropout is active, and what a backward pass needs is kept. */
    readonly training: boolean,
    /** The random streams of the models that are trained. Layers of other models run as at inference. */
    readonly trained: readonly Random[] = [],
    readonly observer: Observer | null = null,
    /** Whether only this library sees its rows: they are not frozen, which takes longer than a small step. */
    inside = false,
  ) {
    this.#own = inside ? undefined : new Set();
  }

  /** For authors of layers: the kernels. */
  get core(): Runtime['core'] {
    return this.runtime.core;
  }

  /** Whether layers that draw from this stream are in training. */
  trains(random: Random): boolean {
    return this.trained.includes(random);
  }

  /** For authors of layers: rows with undefined values, and a gradient of zeros if there is to be one; or rows that lie at `at`. */
  rows(
    T: number,
    B: number,
    F: number,
    gradient: boolean,
    lengths?: Lengths,
    ld = align(4 * F),
    at = this.runtime.take(T * B * ld),
  ): Rows {
    const grad = gradient && this.training ? this.runtime.takeZeroed(T * B * ld) : 0;
    return this.own({ at, ld, T, B, F, grad, lengths, tape: this, made: this.#steps.length });
  }

  /** For authors of layers: makes rows valid that a layer has put together itself. Other objects are refused as rows. */
  own(rows: Rows): Rows {
    this.#own?.add(Object.freeze(rows));
    return rows;
  }

  /** Whether rows were made on this tape. */
  owns(rows: Rows): boolean {
    return this.#own ? this.#own.has(rows) : rows?.tape === this;
  }

  /** For authors of layers: the address of a copy of whole numbers. */
  ints(values: ArrayLike<number>): number {
    const at = this.runtime.take(4 * values.length);
    this.runtime.writeInts(at, values);
    return at;
  }

  /** For authors of layers: a copy of n whole numbers. */
  readInts(at: number, n: number): Int32Array {
    return this.runtime.i32.slice(at >>> 2, (at >>> 2) + n);
  }

  /** The number of functions that are recorded. */
  get recorded(): number {
    return this.#steps.length;
  }

  /** For authors of layers: records what the backward pass does for what was just computed. */
  record(step: () => void): void {
    if (this.training) this.#steps.push(step);
  }

  /** Calls `take` in the backward pass, as soon as the gradient of these rows is complete. */
  watch({ made }: Rows, take: () => void): void {
    if (this.training) this.#watched.push({ made, take });
  }

  /** The backward pass: gradients of the sum of the losses, each times its weight. */
  backward(losses: readonly { readonly loss: Loss; readonly weight: number }[]): void {
    if (!this.training) return;
    for (const { loss, weight } of losses) loss.addGradient(weight);
    const watched = this.#watched.sort((a, b) => a.made - b.made);
    // the gradient of rows is complete once everything that was recorded after what made them has run
    const due = (made: number) => {
      while (watched.length > 0 && watched[watched.length - 1].made > made) watched.pop()?.take();
    };
    for (let i = this.#steps.length - 1; i >= 0; i--) {
      due(i - 1);
      this.#steps[i]();
    }
    due(-2);
    this.#steps.length = 0;
  }
}

/** Runs one pass. What `work` returns must not lie in the arena. */
export function pass<T>(tape: Tape, work: (tape: Tape) => T): T {
  const outer = running;
  return tape.runtime.scope(() => {
    running = tape;
    try {
      return work(tape);
    } finally {
      running = outer;
    }
  });
}

/** Checks that a tape is that of the running pass. */
export function checkTape(tape: Tape): void {
  if (tape && tape === running) return;
  if (!(tape instanceof Tape)) check.fail('tape', 'the tape of a pass of this copy of gatewise', tape);
  throw new Error(
    'tape: its pass is over, or another pass runs inside of it; use the tape that the running pass was given',
  );
}

/** Checks that rows were made in the running pass, and their features. */
export function checkRows(tape: Tape, name: string, rows: Rows, F?: number): Rows {
  if (!tape || tape !== running || !tape.owns(rows)) {
    checkTape(tape);
    if (!(rows?.tape instanceof Tape && rows.tape.owns(rows))) check.fail(name, 'rows', rows);
    if (rows.tape.runtime !== tape.runtime) throw new RangeError(`${name}: these rows are of another runtime`);
    throw new RangeError(`${name}: these rows are of another pass; rows are valid until the pass that made them ends`);
  }
  if (F !== undefined && rows.F !== F) check.fail(name, `${F} features`, rows.F);
  return rows;
}

/** The losses of a forward pass and their weights, checked. */
export function lossesOf(result: unknown): readonly { loss: Loss; weight: number }[] {
  const single = typeof result === 'object' && result !== null && 'addGradient' in result;
  const losses = single ? [{ loss: result, weight: 1 }] : result;
  const expected = 'a loss, or a list of { loss, weight }';
  if (!Array.isArray(losses)) check.fail('work: what it returns', expected, losses);
  for (const item of losses) {
    if (typeof item?.loss?.addGradient !== 'function') check.fail('work: what it returns', expected, item);
    check.number('weight', item.weight);
  }
  return losses;
}

/**
 * A loss on the tape.
 *
 * @param back adds its gradient, times `scale`, in the backward pass; absent where none is computed
 */
export function lossOf(tape: Tape, value: number, back: ((scale: number) => void) | null): Loss {
  let total = 0;
  if (back) tape.record(() => back(total));
  return {
    value,
    addGradient: (scale) => {
      checkTape(tape);
      total += scale;
    },
  };
}
