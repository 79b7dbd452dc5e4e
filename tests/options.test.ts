/** Options: what a schema checks, copies and suggests, what it costs, and that its doc comments state its defaults. */
import { readdirSync, readFileSync } from 'node:fs';
import { SequenceClassifier, SequenceRegressor, SequenceTagger } from 'gatewise/tasks';
import { test } from 'uvu';
import { equal, is, ok, throws } from 'uvu/assert';
import * as check from '#dist/bindings/check.js';
import {
  givenOptions,
  listOf,
  names,
  object,
  oneOf,
  option,
  optional,
  rate,
  readOptions,
  recordOf,
  required,
  whole,
} from '#dist/bindings/options.js';

const SCHEMA = {
  hiddenSize: required(whole(1)),
  learningRate: option(rate, 0.5),
  pooling: option(oneOf('last', 'mean'), 'last'),
  unknown: optional(check.text),
  widths: option(listOf(check.whole, 'a list of widths'), []),
  parts: optional(recordOf(object({ size: required(check.whole), note: optional(check.text) }), 'an object of parts')),
  classes: optional(names()),
};
const read = (given: unknown) => readOptions('create', SCHEMA, given);

test('checks, fills in defaults, and says what is wrong', () => {
  equal(read({ hiddenSize: 3, unknown: undefined }), {
    hiddenSize: 3,
    learningRate: 0.5,
    pooling: 'last',
    unknown: undefined,
    widths: [],
    parts: undefined,
    classes: undefined,
  });
  const wrong: [unknown, RegExp][] = [
    [undefined, /^create: expected an object of options, got undefined/],
    [null, /^create: expected an object of options, got null/],
    [[], /^create: expected an object of options, got Array of length 0/],
    [{}, /^hiddenSize: expected a positive whole number, got undefined/],
    [{ hiddenSize: 1, widths: [1, 0] }, /^widths\[1\]: expected a positive whole number, got 0/],
    [{ hiddenSize: 1, parts: { a: {} } }, /^parts.a.size: expected a positive whole number, got undefined/],
    [{ hiddenSize: 1, parts: { a: { size: 1, nota: '' } } }, /^parts.a: unknown option 'nota'; did you mean 'note'\?/],
    [{ hiddenSize: 1, parts: {} }, /^parts: expected at least one/],
    [{ hiddenSize: 1, classes: ['a', 'a'] }, /^classes: duplicate 'a'/],
    [{ hiddensize: 1 }, /^create: unknown option 'hiddensize'; did you mean 'hiddenSize'\?/],
    [{ toString: 1 }, /^create: unknown option 'toString'/],
    [JSON.parse('{"__proto__": 1, "hiddenSize": 1}'), /^create: unknown option '__proto__'/],
    [{ units: 1 }, /did you mean 'hiddenSize'\?/],
    [{ hidden_size: 1 }, /did you mean 'hiddenSize'\?/],
    [{ LR: 1 }, /did you mean 'learningRate'\?/],
    [{ return_sequences: 1 }, /did you mean 'pooling'\?/],
    [
      { quux: 1 },
      /unknown option 'quux'; expected hiddenSize, learningRate, pooling, unknown, widths, parts and classes/,
    ],
  ];
  for (const [given, message] of wrong) throws(() => read(given), message);
});

test('null is refused for every option, by name', () => {
  for (const key of Object.keys(SCHEMA)) {
    throws(
      () => read({ hiddenSize: 1, [key]: null }),
      (error: unknown) => error instanceof TypeError && error.message.startsWith(`${key}: `),
    );
  }
});

test('what was given is copied and frozen, all the way down', () => {
  const given = { hiddenSize: 1, widths: [1, 2], parts: { a: { size: 1 } } };
  const settings = read(given);
  const kept = givenOptions(SCHEMA, settings, given);
  equal(kept, { hiddenSize: 1, widths: [1, 2], parts: { a: { size: 1 } } });
  given.widths.push(3);
  given.parts.a.size = 9;
  equal(kept, { hiddenSize: 1, widths: [1, 2], parts: { a: { size: 1 } } });
  for (const own of [settings, kept, kept.widths, kept.parts, kept.parts?.a]) ok(Object.isFrozen(own));
});

test('messages are bounded, and the work is linear', () => {
  const long = 'x'.repeat(1e6);
  for (const given of [
    { [long]: 1 },
    { hiddenSize: long },
    { hiddenSize: 1, pooling: long },
    { hiddenSize: 1, classes: [long, long] },
    { hiddenSize: 1, parts: { [long]: 1 } },
  ]) {
    throws(
      () => read(given),
      (error: unknown) => error instanceof Error && error.message.length < 300,
    );
  }
  const classes = Array.from({ length: 100_000 }, (_, i) => `c${i}`);
  is(read({ hiddenSize: 1, classes }).classes?.length, 100_000);
});

test('config is a frozen copy of the options that were given', async () => {
  const classes = ['x', 'y'];
  const initializers = { input: { kind: 'normal', std: 0.1 } } as const;
  const options = { vocabulary: 'ba', classes, hiddenSize: 4, initializers, seed: 1 };
  using model = await SequenceClassifier.create(options);
  classes.push('z');
  equal(model.config, { classes: ['x', 'y'], vocabulary: ['a', 'b'], hiddenSize: 4, initializers });
  ok(Object.isFrozen(model.config) && Object.isFrozen(model.config.classes));
  ok(Object.isFrozen((model.config.initializers as typeof initializers).input));
  for (const Task of [SequenceRegressor, SequenceTagger]) {
    throws(() => Task.createSync({ vocabulary: 'ab', classes: ['x', 'y'], cell: null } as never), TypeError);
  }
});

test('doc comments state the defaults of the schemas', () => {
  const folder = new URL('../../bindings/', import.meta.url);
  let seen = 0;
  for (const file of readdirSync(folder, { recursive: true, encoding: 'utf8' })) {
    if (!file.endsWith('.ts') || file === 'options.ts') continue;
    const text = readFileSync(new URL(file, folder), 'utf8');
    // a property of a schema, its comment and its fallback
    for (const [, comment, key, fallback] of text.matchAll(
      /\/\*\*((?:(?!\*\/)[\s\S])*)\*\/\s+(\w+): option\((?:[^;]*?), ([^,;()[\]]+|\[\])\),\n/g,
    )) {
      const stated = /[Dd]efault:? (no(?:ne| limit)|[^\s;,:]+?)[.;,:]?(?:\s|$)/.exec(comment)?.[1];
      const value = fallback === '[]' ? 'none' : fallback.replace(/^Number\.MAX_SAFE_INTEGER$/, 'no limit');
      // defaults of the recurrent layers are the task's: arguments of a function
      if (/^(cell|hiddenSize)$/.test(fallback)) continue;
      is(stated?.replace(/`/g, ''), value, `${file}: ${key}`);
      seen++;
    }
  }
  ok(seen > 20, `${seen}`);
});

test.run();
