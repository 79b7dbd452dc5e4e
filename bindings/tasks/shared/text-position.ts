/** Where the training of a language model stands in its text: saved with a model, so that training resumes there. */
import * as check from '../../check.js';
import { State } from '../../nn/recurrent/state.js';
import { readOptions, required, whole } from '../../options.js';
import { COUNT } from '../../train/checkpoint.js';

/** Where training stands in its text. */
export interface Position {
  /** A hash of the text with its number of tokens, and how it is cut into windows. */
  readonly text: string;
  readonly batchSize: number;
  readonly window: number;
  readonly stride: number;
  /** The next window. */
  next: number;
}
const POSITION = {
  text: required(check.text),
  batchSize: required(whole(1)),
  window: required(whole(1)),
  stride: required(whole(1)),
  next: required(COUNT),
};
export type Cut = Pick<Position, 'batchSize' | 'window' | 'stride'>;

/** Reads and checks a position of a file. */
export function readPosition(name: string, value: unknown): Position {
  const position = readOptions(name, POSITION, value, `${name}.`);
  check.whole(`${name}.stride`, position.stride, 1, position.window);
  return { ...position };
}

/** Tokens of each place in a text, and windows in them. */
export function cutOf(tokens: Int32Array, { batchSize, window, stride }: Cut): { length: number; windows: number } {
  const length = Math.floor((tokens.length - 1) / batchSize);
  return { length, windows: Math.floor((length - window) / stride) + 1 };
}

/** The states of some sequences of a batch, copied. */
export function partOf({ batch, h, c }: State, places: readonly number[]): State {
  const part = (all: Float32Array) => {
    const F = all.length / batch;
    const own = new Float32Array(places.length * F);
    places.forEach((place, b) => own.set(all.subarray(place * F, (place + 1) * F), b * F));
    return own;
  };
  return new State(places.length, h.map(part), c.map(part));
}

/** The states of a batch of B sequences, of whose parts each had every n-th. */
export function joined(parts: readonly Pick<State, 'batch' | 'h' | 'c'>[], B: number): State {
  const join = (kind: 'h' | 'c') =>
    parts[0][kind].map((first, l) => {
      const F = first.length / parts[0].batch;
      const all = new Float32Array(B * F);
      for (let b = 0; b < B; b++) {
        const place = Math.floor(b / parts.length);
        all.set(parts[b % parts.length][kind][l].subarray(place * F, (place + 1) * F), b * F);
      }
      return all;
    });
  return new State(B, join('h'), join('c'));
}

/** A number that another text is unlikely to have (FNV-1a). */
export function fingerprint(tokens: Int32Array): string {
  let hash = 0x811c9dc5;
  for (const token of tokens) hash = Math.imul(hash ^ token, 0x01000193);
  return `${tokens.length}-${(hash >>> 0).toString(16)}`;
}
