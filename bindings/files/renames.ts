/**
 * What files of format 1 call differently: the one table that turns their descriptions into those of format 2. A rename of an option,
 * or of a word of the data's position, gets a line here. Options whose default was another one when a file was saved are in `completed`.
 */

import { hasOwn } from '../check.js';

type Json = Record<string, unknown>;
type Renames = Readonly<Record<string, string>>;

/** By task, old names of its options. */
const OPTIONS: Readonly<Record<string, Renames>> = {
  'sequence-regressor': { outputs: 'outputSize' },
  'sequence-tagger': { labels: 'classes' },
};
const INITIALIZER: Renames = { deviation: 'std' };
const SCHEDULE: Renames = { floor: 'minLearningRate' };
const POSITION: Renames = { pass: 'epoch' };

/** @param description of format 1, of any content */
export function fromFormat1(description: Json): Json {
  const { config: given, schedule, position, ...rest } = description;
  // a forecaster's scaling was kept among its options
  const { scaling, config } =
    isRecord(given) && given.scaling !== undefined ? split(given) : { scaling: undefined, config: given };
  // numbers were learned by a classifier
  const numbers = rest.task === 'sequence-classifier' && isRecord(config) && config.outputs !== undefined;
  const task = numbers ? 'sequence-regressor' : rest.task;
  const known = typeof task === 'string' && hasOwn(OPTIONS, task) ? OPTIONS[task] : {};
  return {
    ...rest,
    format: 2,
    task,
    config: within(renamed(config, known), 'initializers', (all) =>
      isRecord(all)
        ? Object.fromEntries(Object.entries(all).map(([of, start]) => [of, renamed(start, INITIALIZER)]))
        : all,
    ),
    ...(scaling === undefined ? {} : { data: { scaling } }),
    ...(schedule === undefined ? {} : { schedule: within(schedule, 'options', (own) => renamed(own, SCHEDULE)) }),
    ...(position === undefined ? {} : { position: renamed(position, POSITION) }),
  };
}

/**
 * The options of a file, with those that were not there when it was saved.
 *
 * @param tensors names of the file's tensors
 */
export function completed(task: unknown, config: Json, tensors: ReadonlySet<string>): Json {
  // forecasters had no linear path
  const before = task === 'forecaster' && config.linear === undefined && !tensors.has('linear.weight');
  return before ? { ...config, linear: 0 } : config;
}

function split({ scaling, ...config }: Json): { scaling: unknown; config: Json } {
  return { scaling, config };
}

function renamed(value: unknown, names: Renames): unknown {
  if (!isRecord(value)) return value;
  const name = (key: string) => (hasOwn(names, key) ? names[key] : key);
  return Object.fromEntries(Object.entries(value).map(([key, own]) => [name(key), own]));
}

function within(value: unknown, key: string, change: (own: unknown) => unknown): unknown {
  return isRecord(value) && value[key] !== undefined ? { ...value, [key]: change(value[key]) } : value;
}

function isRecord(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
