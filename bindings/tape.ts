/**
 * Reverse mode over layers: each layer's forward pass records one closure that turns the gradient of its output into the gradients
 * of its inputs and parameters. `backward` runs them in reverse.
 *
 * Everything lies in the arena of one step. Gradients of activations start at zero and are accumulated.
 */
import { align, type Runtime } from './core/runtime.js';

/** R = T·B rows of F floats in the arena, rows `ld` bytes apart; row t·B + b is step t of sequence b. */
export interface Rows {
  readonly at: number;
  readonly ld: number;
  readonly T: number;
  readonly B: number;
  readonly F: number;
  /** Address of the gradient, laid out alike; 0 where none is wanted. */
  readonly grad: number;
  /** Length of each sequence, and the address of the same numbers; absent where all have T steps. */
  readonly lengths?: Lengths | undefined;
  /** The distinct rows, in training, of rows that repeat: what is linear in x is computed from them alone. Found when first asked for. */
  readonly unique?: (() => Unique | undefined) | undefined;
}

/** Each distinct row once, and the address of T·B integers: which of them each row is; negative: the row is zero. */
export interface Unique {
  readonly rows: Rows;
  readonly index: number;
}

export interface Lengths {
  readonly at: number;
  readonly values: Int32Array;
}

/** A loss on the tape: its value, and how its gradient enters when it is one of those to be minimised. */
export interface Loss {
  readonly value: number;
  readonly addGradient: (scale: number) => void;
}

export class Tape {
  readonly #steps: (() => void)[] = [];

  constructor(
    readonly runtime: Runtime,
    /** Whether a backward pass will follow: only then are activations kept. */
    readonly training: boolean,
  ) {}

  /** Rows that hold anything, with a zeroed gradient if there is to be one. */
  rows(T: number, B: number, F: number, gradient: boolean, lengths?: Lengths): Rows {
    const ld = align(4 * F);
    const bytes = T * B * ld;
    return {
      at: this.runtime.take(bytes),
      ld,
      T,
      B,
      F,
      grad: gradient && this.training ? this.runtime.takeZeroed(bytes) : 0,
      lengths,
    };
  }

  /** Remembers how to go back. */
  record(step: () => void): void {
    if (this.training) this.#steps.push(step);
  }

  /** Gradients of the sum of the losses, each times its weight. */
  backward(losses: readonly { loss: Loss; weight: number }[]): void {
    for (const { loss, weight } of losses) loss.addGradient(weight);
    for (let i = this.#steps.length - 1; i >= 0; i--) (this.#steps[i] as () => void)();
    this.#steps.length = 0;
  }
}
