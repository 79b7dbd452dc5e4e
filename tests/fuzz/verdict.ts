/** What a case is judged by: whose error it is, and whether anything else has changed. */
import {
  activation,
  FormatError,
  input,
  MemoryError,
  Model,
  NonFiniteError,
  type Runtime,
  read,
  UnsupportedError,
} from 'gatewise';
import * as infer from 'gatewise/infer';
import * as online from 'gatewise/online';
import * as predict from 'gatewise/predict';
import * as quantized from 'gatewise/quantized';

/** Errors that code has made with `new`; those of the engine itself are not among them. */
const made = new WeakSet<object>();

/** An error that a nasty value throws itself. */
export class OwnError extends Error {}

/** From now on errors that are made with `new` are told from those of the engine. */
export function watchErrors(): void {
  for (const name of ['Error', 'TypeError', 'RangeError'] as const) {
    globalThis[name] = new Proxy(globalThis[name], {
      construct(target, args, newTarget) {
        const error: object = Reflect.construct(target, args, newTarget);
        made.add(error);
        return error;
      },
    });
  }
}

const NAMED = [FormatError, MemoryError, NonFiniteError, UnsupportedError, infer.FormatError, infer.MemoryError].concat(
  [online, predict, quantized].flatMap((entry) => [entry.FormatError, entry.MemoryError, entry.UnsupportedError]),
  online.NonFiniteError,
);

/** Words of the engine inside a message of ours. */
const NATIVE =
  /is not a function|is not iterable|Cannot (read|set) propert|Cannot (destructure|convert|mix|perform|assign)|Maximum call stack|is not a constructor|offset is out of bounds/;

/** What is wrong with an error; null for one that the library has made. */
export function alien(error: unknown): string | null {
  if (error instanceof WebAssembly.RuntimeError) return `trap: ${error.message}`;
  if (error instanceof OwnError) return null;
  // a class where a function is wanted: calling it is what fails
  if (error instanceof TypeError && /^Class constructor/.test(error.message)) return null;
  if (typeof error === 'object' && error !== null && (error as Error).name === 'AbortError') return null;
  if (!(error instanceof Error)) return `thrown: ${typeof error}`;
  const own = NAMED.some((kind) => error instanceof kind);
  if (!(own || made.has(error)) || NATIVE.test(error.message)) return `not our error: ${error.name}: ${error.message}`;
  if (error.message.length > 2000) return `a message of ${error.message.length} characters`;
  return null;
}

export function same(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}

/** A model on a runtime that others use: what it computes has to stay. */
export class Neighbour {
  readonly #model: Model<null>;
  readonly #expected: Float32Array;

  constructor(readonly runtime: Runtime) {
    this.#model = new Model(runtime, 7, (b) => {
      b.parameter('w', [8], { kind: 'constant', value: 0.5 });
      return null;
    });
    this.#expected = this.#now();
  }

  #now(): Float32Array {
    const x = [0, 1, -1, 2, -3, 0.25, 9, -0.5];
    const shape = { T: 1, B: 1, F: 8 };
    return this.#model.forward((tape) => {
      const parts = (['sigmoid', 'tanh'] as const).map((kind) =>
        read(tape, activation(tape, input(tape, x, shape), kind)),
      );
      return Float32Array.from([...parts[0], ...parts[1], ...this.#model.get('w')]);
    });
  }

  /** What has changed, or null. */
  changed(): string | null {
    const now = this.#now();
    const at = now.findIndex((v, i) => !Object.is(v, this.#expected[i]));
    return at < 0 ? null : `a neighbour has changed: number ${at} is ${now[at]}, it was ${this.#expected[at]}`;
  }
}
