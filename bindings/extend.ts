/**
 * gatewise/extend: more tokens and classes for a model that has been trained.
 *
 * @module gatewise/extend
 */
import * as check from './check.js';
import type { Model, Runtime } from './index.js';
import { listOf, type Options, option, optional, readOptions, whole } from './options.js';

export type { Model, Runtime } from './index.js';

/** What is asked of a task of `gatewise/tasks`. */
export interface Extensible {
  readonly model: Model<unknown>;
  readonly config: object;
  dispose(): void;
}

const texts = listOf(check.text, 'a list of names');

const EXTEND = {
  /** Tokens that are added at the end of the vocabulary: a list, or a text whose characters are taken. Known ones are skipped. */
  vocabulary: optional((name: string, value: unknown): string | readonly string[] =>
    typeof value === 'string' ? [...value] : texts(name, value),
  ),
  /** Classes that are added after those there are. Known ones are skipped. */
  classes: optional(texts),
  /** Of the random numbers that the new rows start with, default 0. */
  seed: option(whole(0, Number.MAX_SAFE_INTEGER), 0),
  /** The runtime of the new model; default: one of its own. */
  runtime: optional((name: string, value: unknown) => {
    check.made(name, value, 'alloc', 'a Runtime', 'disposed');
    return value as Runtime;
  }),
};

export interface ExtendOptions extends Options<typeof EXTEND> {}

type Factory<T> = { create(options: object): Promise<T> };

/** Old names, and the new ones that are not among them. */
function longer(old: readonly string[], added: readonly string[] = []): string[] {
  return [...new Set([...old, ...added])];
}

/**
 * A new model with more tokens or classes that keeps what the old one has learned: all weights are copied, and tables and output layers get new
 * rows. Logits of old tokens and classes, and what streams of old tokens compute, stay the same, bit for bit. New rows start as in
 * `create`, their biases with the smallest of the old ones. The old model is not changed. Training starts with a new optimizer.
 *
 * For `LanguageModel`, and for `SequenceClassifier` and `SequenceTagger` without a CRF; other models are refused.
 *
 * @param task a model of `gatewise/tasks`
 * @returns a model of the same kind
 * @throws TypeError, RangeError for invalid options, without anything new, or for a model that cannot be extended
 *
 * @example
 * ```js
 * import { LanguageModel } from 'gatewise/tasks';
 * import { extend } from 'gatewise/extend';
 *
 * const lm = await LanguageModel.create({ vocabulary: 'abc', hiddenSize: 8, seed: 1 });
 * const more = await extend(lm, { vocabulary: '!?' });
 * console.log(more.vocabulary.tokens.join('')); // abc!?
 * ```
 */
export async function extend<T extends Extensible>(task: T, options: ExtendOptions): Promise<T> {
  if (typeof task !== 'object' || task === null) check.fail('task', 'a model of gatewise/tasks', task);
  check.made('task', task, 'fit', 'a model of gatewise/tasks', 'model');
  check.model(task.model);
  const { vocabulary, classes, ...rest } = readOptions('extend', EXTEND, options);
  const old = task.config as { readonly vocabulary?: readonly string[]; readonly classes?: readonly string[] };
  const config: { vocabulary?: string[]; classes?: string[] } = {};
  const sizes = new Map<number, number>();
  for (const [key, added] of Object.entries({ vocabulary, classes }) as ['vocabulary' | 'classes', string[]][]) {
    if (!added) continue;
    const known = old[key];
    if (!Array.isArray(known)) throw new RangeError(`${key}: this model has none that could be extended`);
    config[key] = longer(known, added);
    if (config[key].length === known.length) throw new RangeError(`${key}: expected at least one that is new`);
    if (sizes.has(known.length))
      throw new RangeError('vocabulary, classes: expected one at a time: both have the same size');
    sizes.set(known.length, config[key].length);
  }
  if (sizes.size === 0) throw new RangeError('extend: expected new tokens as vocabulary, or new classes');
  const made = await (task.constructor as typeof task.constructor & Factory<T>).create({ ...old, ...config, ...rest });
  try {
    for (const { name, shape } of made.model.parameters) {
      const before = task.model.parameter(name);
      const values = task.model.get(name);
      if (before.shape.join() === shape.join()) {
        made.model.set(name, values);
        continue;
      }
      const [rows, ...columns] = before.shape;
      if (sizes.get(rows) !== shape[0] || columns.join() !== shape.slice(1).join()) {
        throw new RangeError(`task: ${name} [${before.shape}] cannot be extended to [${shape}]`);
      }
      const all = made.model.get(name);
      if (columns.length === 0) all.fill(values.reduce((a, b) => Math.min(a, b)));
      all.set(values);
      made.model.set(name, all);
    }
  } catch (error) {
    made.dispose();
    throw error;
  }
  return made;
}
