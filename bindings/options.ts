/**
 * Options: a schema says of each its type, its check and its default. The interfaces that people see, the settings that the code
 * reads, the known names and the suggestions all follow from it.
 *
 *     const OPTIONS = {
 *       // a doc comment here is what editors show; it states the default
 *       inputDropout: option(rate, 0),
 *       pooling: option(oneOf('last', 'mean'), 'last'),
 *       inputSize: required(check.whole),
 *       unknown: optional(check.text),
 *     };
 *     interface TheOptions extends Options<typeof OPTIONS> {}
 *     const settings = readOptions('create', OPTIONS, options); // checked, copied, frozen, defaults filled in
 */
import * as check from './check.js';

/** Checks a value that was given; returns what is kept of it, a frozen copy where it is an object. `name` is for errors. */
export type Reader<T> = (name: string, value: unknown) => T;

/** @typeParam D what holds where nothing is given: a default, `undefined`, or `never` for an option that is required */
export interface Option<T, D = T> {
  readonly read: Reader<T>;
  readonly fallback: D;
  readonly required: boolean;
}

export type Schema = Readonly<Record<string, Option<unknown, unknown>>>;

type Value<O> = O extends Option<infer T, unknown> ? T : never;

/** What people write. Mapped over the schema's own keys, so that its doc comments stay. */
export type Options<S extends Schema> = {
  [K in keyof S as [S[K]['fallback']] extends [never] ? never : K]?: Value<S[K]> | undefined;
} & { [K in keyof S as [S[K]['fallback']] extends [never] ? K : never]: Value<S[K]> };

/** What the code reads: every default filled in. */
export type Settings<S extends Schema> = { readonly [K in keyof S]: Value<S[K]> | S[K]['fallback'] };

export function option<T>(read: Reader<T>, fallback: NoInfer<T>): Option<T> {
  return { read, fallback, required: false };
}

export function optional<T>(read: Reader<T>): Option<T, undefined> {
  return { read, fallback: undefined, required: false };
}

export function required<T>(read: Reader<T>): Option<T, never> {
  return { read, fallback: undefined as never, required: true };
}

/** A share of what there is: a number in [0, 1). */
export const rate: Reader<number> = (name, value) => {
  const share = check.number(name, value, 0);
  return share < 1 ? share : check.fail(name, 'a number below 1', share);
};

/** A part of a whole: a number between 0 and 1, neither of them. */
export const share: Reader<number> = (name, value) => {
  const part = check.number(name, value, 0, 1, true);
  return part < 1 ? part : check.fail(name, 'a number between 0 and 1', part);
};

/** A whole number of at least `low`. */
export function whole(low: number, high?: number): Reader<number> {
  return (name, value) => check.whole(name, value, low, high);
}

/** A finite number of at least `low`, or above it with `open`. */
export function real(low = -Infinity, high = Infinity, open = false): Reader<number> {
  return (name, value) => check.number(name, value, low, high, open);
}

export function oneOf<const T extends readonly string[]>(...choices: T): Reader<T[number]> {
  return (name, value) => check.oneOf(name, value, choices);
}

/** @param what the words for errors, say `'a list of widths'` */
export function listOf<T>(read: Reader<T>, what: string): Reader<readonly T[]> {
  return (name, value) => {
    if (!Array.isArray(value)) return check.fail(name, what, value);
    return Object.freeze(Array.from(value, (item: unknown, i) => read(`${name}[${i}]`, item)));
  };
}

/** Items by names of the user's. */
export function recordOf<T>(read: Reader<T>, what: string): Reader<Readonly<Record<string, T>>> {
  return (name, value) => {
    if (!isRecord(value)) return check.fail(name, what, value);
    const entries = Object.entries(value);
    if (entries.length === 0) throw new RangeError(`${name}: expected at least one`);
    return Object.freeze(
      Object.fromEntries(
        entries.map(([key, item]) => {
          if (key === '') throw new RangeError(`${name}: expected names that are not empty`);
          return [key, read(`${name}.${check.cut(key)}`, item)];
        }),
      ),
    );
  };
}

/** Options of their own, under one name. What was not given stays away. */
export function object<S extends Schema>(schema: S): Reader<Options<S>> {
  return (name, value) => givenOptions(schema, readOptions(name, schema, value, `${name}.`), value as Options<S>);
}

/** Names that all differ, at least `least` of them. */
export function names(least = 1): Reader<readonly string[]> {
  const read = listOf(check.text, 'a list of names');
  return (name, value) => {
    const list = read(name, value);
    if (list.length < least)
      check.fail(name, `a list of at least ${least === 1 ? 'one name' : `${least} names`}`, value);
    const known = new Set<string>();
    for (const item of list) {
      if (known.has(item)) throw new RangeError(`${name}: duplicate ${check.show(item)}`);
      known.add(item);
    }
    return list;
  };
}

/** Whatever plain data it is, as a frozen copy: for options that are checked elsewhere. */
export const anything: Reader<unknown> = (name, value) => {
  if (value === null) return check.fail(name, 'a value or undefined', value);
  if (Array.isArray(value)) return Object.freeze(value.map((item, i) => anything(`${name}[${i}]`, item)));
  if (!isRecord(value)) return value;
  const entries = Object.entries(value).filter(([, item]) => item !== undefined);
  return Object.freeze(Object.fromEntries(entries.map(([key, item]) => [key, anything(`${name}.${key}`, item)])));
};

/**
 * Checks options: that they are an object, that each is known, and each value.
 *
 * @param place what was called, for errors: `create`, `fit`
 * @param prefix put before the names of options in errors, say `source.`
 * @param known all that may be given, where others read the rest
 * @returns frozen, with every default filled in, in the order of the schema
 * @throws TypeError, RangeError
 */
export function readOptions<S extends Schema>(
  place: string,
  schema: S,
  given: unknown,
  prefix = '',
  known: Schema = schema,
): Settings<S> {
  if (!isRecord(given)) return check.fail(place, 'an object of options', given);
  for (const key of Object.keys(given)) {
    if (!check.hasOwn(known, key))
      throw new TypeError(`${place}: unknown option ${check.show(key)}${suggest(key, known)}`);
  }
  const settings = Object.entries(schema).map(([key, { read, fallback, required: needed }]) => {
    const value = given[key];
    return [key, value === undefined && !needed ? fallback : read(prefix + key, value)];
  });
  return Object.freeze(Object.fromEntries(settings)) as Settings<S>;
}

/** Those settings that were given, frozen: what `config` shows and a file keeps. */
export function givenOptions<S extends Schema>(schema: S, settings: Settings<S>, given: Options<S>): Options<S> {
  const own = Object.keys(schema).filter((key) => (given as Record<string, unknown>)[key] !== undefined);
  return Object.freeze(Object.fromEntries(own.map((key) => [key, settings[key]]))) as Options<S>;
}

/** Some of the properties of an object, in the order of `keys`. */
export function pick<T extends object, K extends keyof T>(from: T, keys: readonly K[]): Pick<T, K> {
  return Object.fromEntries(keys.map((key) => [key, from[key]])) as Pick<T, K>;
}

/** Names that other libraries have for options of ours, without case, `_` and `-`. */
const FOREIGN: Readonly<Record<string, readonly string[]>> = {
  hiddenSize: ['units', 'numunits', 'hidden', 'hiddenunits', 'hiddendim', 'rnnsize', 'statesize'],
  numLayers: ['layers', 'nlayers', 'depth'],
  learningRate: ['lr', 'eta', 'stepsize'],
  batchSize: ['bs', 'batch'],
  epochs: ['nepochs', 'numepochs', 'maxepochs', 'passes'],
  steps: ['maxsteps', 'numsteps', 'stepsperepoch'],
  dropout: ['dropoutrate', 'dropoutprob', 'interlayerdropout'],
  variationalDropout: ['recurrentdropout'],
  clipNorm: ['gradclip', 'maxgradnorm', 'gradientclipval', 'maxnorm'],
  clipValue: ['gradclipvalue'],
  weightDecay: ['l2', 'wd', 'kernelregularizer'],
  embeddingSize: ['embeddingdim', 'embeddim', 'embdim', 'outputdim'],
  inputSize: ['inputdim', 'inputshape', 'infeatures', 'nfeatures'],
  outputSize: ['outputs', 'outdim', 'outfeatures', 'numoutputs'],
  projectionSize: ['projsize', 'numproj'],
  bias: ['usebias'],
  reverse: ['gobackwards'],
  pooling: ['returnsequences'],
  merge: ['mergemode'],
  cell: ['celltype', 'rnntype'],
  classes: ['numclasses', 'nclasses', 'labels', 'classnames'],
  classWeights: ['classweight'],
  metric: ['monitor'],
  patience: ['earlystopping', 'earlystoppingrounds'],
  seed: ['randomseed', 'randomstate'],
  optimizer: ['optim', 'solver'],
  epsilon: ['eps'],
  beamWidth: ['beamsize', 'numbeams', 'beams'],
  maxLength: ['maxlen', 'maxnewtokens', 'maxtokens'],
  window: ['lookback', 'bptt', 'seqlen', 'inputchunklength'],
  horizon: ['lookahead', 'forecasthorizon', 'outputchunklength'],
  vocabulary: ['vocab', 'alphabet', 'chars'],
  minLearningRate: ['floor', 'minlr', 'etamin'],
  std: ['deviation', 'stddev', 'sigma'],
};

/** `; did you mean 'hiddenSize'?`, or all there are. */
function suggest(key: string, schema: Schema): string {
  const plain = key.length > 40 ? '' : key.replace(/[_-]/g, '').toLowerCase();
  const own = Object.keys(schema).find((name) => FOREIGN[name]?.includes(plain));
  return own ? `; did you mean '${own}'?` : check.suggest(plain || key, Object.keys(schema));
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
