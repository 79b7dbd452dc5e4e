/** Files of learners: safetensors, described by `gatewise.online` in the metadata. */
import * as check from '../check.js';
import { FormatError } from '../errors.js';
import { checking, isRecord, parseObject, shown } from '../files/json.js';
import { match, readSafetensors, type Tensor, writeSafetensors } from '../files/safetensors.js';
import { Outline } from '../nn/builder.js';
import { readOptions, real, required, whole } from '../options.js';
import { momentsOf, SQUARES } from '../train/optimizer.js';
import { Network } from './network.js';
import { type OnlineOptions, type OnlineSettings, readOnline } from './options.js';

/** The name in the metadata under which a file describes its learner. */
const KEY = 'gatewise.online';
const VERSION = 1;

const STANDING = {
  /** Steps made. */
  steps: required(whole(0, Number.MAX_SAFE_INTEGER)),
  /** Updates of the weights. */
  updates: required(whole(0, Number.MAX_SAFE_INTEGER)),
  /** η of the next update. */
  learningRate: required(real(0)),
};

/** What a file holds: checked, and complete. */
export interface Saved {
  readonly settings: OnlineSettings;
  readonly tensors: ReadonlyMap<string, Float32Array>;
  readonly steps: number;
  readonly updates: number;
  readonly learningRate: number;
}

export function write(
  tensors: ReadonlyMap<string, Tensor>,
  about: { options: OnlineOptions; steps: number; updates: number; learningRate: number },
): Uint8Array<ArrayBuffer> {
  return writeSafetensors(tensors, { [KEY]: JSON.stringify({ version: VERSION, ...about }) });
}

/** @throws FormatError for a file that is damaged or holds something else */
export function open(bytes: Uint8Array | ArrayBuffer): Saved {
  const { tensors, metadata } = readSafetensors(bytes);
  const text = metadata[KEY];
  if (text === undefined) throw new FormatError('the file does not hold an OnlineLearner');
  const what = `the file's description (metadata, \`${KEY}\`)`;
  const { version, options, ...standing } = parseObject(what, text);
  if (version !== VERSION) {
    throw new FormatError(`${what}: is of version ${shown(version)}; this version of gatewise reads ${VERSION}`);
  }
  // each layer has a tensor at least; a number alone must not make millions of them
  const layers = isRecord(options) ? Number(options.numLayers ?? 1) : 1;
  if (layers > tensors.size) throw new FormatError(`${what}: has ${layers} layers, the file ${tensors.size} tensors`);
  const { settings, ...numbers } = checking(what, () => ({
    ...readOptions('description', STANDING, standing),
    settings: readOnline('options', options as OnlineOptions),
  }));
  const expected: { name: string; shape: readonly number[] }[] = [];
  const moments = momentsOf(settings.optimizer);
  const outline = new Outline(null as never, (name, shape) => {
    expected.push({ name, shape });
    for (const moment of moments) expected.push({ name: `optimizer.${moment}.${name}`, shape });
  });
  new Network(outline, settings).layers.forEach(({ direction: { H }, kinds, influence }, n) => {
    expected.push({ name: `state.h.${n}`, shape: [1, H] });
    if (kinds === 2) expected.push({ name: `state.c.${n}`, shape: [1, H] });
    if (influence.length) expected.push({ name: `influence.${n}`, shape: influence });
  });
  const found = match(tensors, expected);
  for (const [name, data] of found) {
    if (SQUARES.test(name) && data.some((x) => x < 0)) {
      throw new FormatError(`${check.cut(name)}: expected squares, got negative numbers`);
    }
  }
  return { settings, tensors: found, ...numbers };
}
