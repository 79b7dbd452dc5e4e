/** Where the training of a language model stands in its text: saved with a model, so that training resumes there. */
import * as check from '../../check.js';
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

/** A number that another text is unlikely to have (FNV-1a). */
export function fingerprint(tokens: Int32Array): string {
  let hash = 0x811c9dc5;
  for (const token of tokens) hash = Math.imul(hash ^ token, 0x01000193);
  return `${tokens.length}-${(hash >>> 0).toString(16)}`;
}
