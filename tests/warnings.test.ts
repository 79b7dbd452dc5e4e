/** Trainings that go wrong say so, once, and trainings that do not are left alone. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { NonFiniteError, Runtime } from 'gatewise';
import { LanguageModel, SequenceClassifier, SequenceRegressor, type Warning } from 'gatewise/tasks';
import { test } from 'uvu';
import { equal, instance, is, match, ok } from 'uvu/assert';
import { random } from './support/numbers.js';

const shared = await Runtime.create();
const next = random(4);

/** Sequences of numbers; whether the first one is above a half is what is to be learned, or nothing is. */
const sequences = (n: number, meaning: boolean) =>
  Array.from({ length: n }, () => {
    const input = Array.from({ length: 6 }, () => [next()]);
    return { input, label: ((meaning ? input[0][0] : next()) > 0.5 ? 'high' : 'low') as 'high' | 'low' };
  });

interface Watched {
  readonly warnings: (Warning & { readonly step: number })[];
  readonly error: Error | null;
}

/** All warnings of a run. */
async function watch(run: AsyncIterable<{ step: number; warning?: Warning }>): Promise<Watched> {
  const warnings: Watched['warnings'] = [];
  try {
    for await (const { step, warning } of run) if (warning) warnings.push({ ...warning, step });
  } catch (error) {
    return { warnings, error: error as Error };
  }
  return { warnings, error: null };
}

const kinds = ({ warnings }: Watched) => warnings.map(({ kind }) => kind).sort();
const classifier = (more: object = {}) =>
  SequenceClassifier.create({
    classes: ['low', 'high'],
    inputSize: 1,
    hiddenSize: 12,
    runtime: shared,
    ...more,
  } as Parameters<typeof SequenceClassifier.create>[0]);

test('a training that works says nothing', async () => {
  const model = await classifier({ cell: 'gru', seed: 2 });
  const seen = await watch(
    model.fit(sequences(128, true) as never, { epochs: 100, batchSize: 32, learningRate: 0.01 }),
  );
  equal(seen, { warnings: [], error: null });
});

test('chance: labels that mean nothing, once, after two looks', async () => {
  const model = await classifier({ seed: 2 });
  // new examples in each step, so that nothing can be learned by heart
  const seen = await watch(
    model.fit(sequences(32 * 420, false) as never, { epochs: 1, batchSize: 32, learningRate: 1e-3 }),
  );
  equal(kinds(seen), ['chance']);
  const [{ message, step }] = seen.warnings;
  ok([100, 200, 400].includes(step), `step ${step}`);
  match(message, /the loss is that of chance: 0\.[67]\d+, and 0\.[67]\d+ with outputs of other sequences/);
});

test('clipped: more than half of the updates', async () => {
  const model = await classifier({ cell: 'gru', seed: 2 });
  const options = { epochs: 60, batchSize: 32, learningRate: 0.01, clipNorm: 1e-3 };
  const seen = await watch(model.fit(sequences(128, true) as never, options));
  equal(
    seen.warnings.filter(({ kind }) => kind === 'clipped').map(({ step }) => step),
    [100],
  );
  match(seen.warnings[0].message, /^100 of 100 updates were clipped: raise clipNorm, or lower learningRate$/);
});

test('dead units and saturated gates, by layer', async () => {
  const dead = await SequenceRegressor.create({
    ...{ cell: 'rnn', activation: 'relu', inputSize: 1, outputSize: 1, hiddenSize: 8, numLayers: 2, seed: 1 },
    runtime: shared,
  } as const);
  const bias = dead.model.get('rnn.bias_ih_l1').fill(-50);
  dead.model.set('rnn.bias_ih_l1', bias);
  const examples = sequences(32, true).map(({ input }) => ({ input, target: [input[0][0]] }));
  const seen = await watch(dead.fit(examples, { epochs: 110, batchSize: 32 }));
  const own = seen.warnings.filter(({ kind }) => kind === 'dead');
  is(own.length, 1);
  // one kind after the other: such a network is at chance as well
  equal(kinds(seen), ['chance', 'dead']);
  equal(
    seen.warnings.map(({ step }) => step),
    [100, 101],
  );
  match(own[0].message, /^rnn l1: 100 % of its units receive no gradient/);

  const saturated = await classifier({ cell: 'lstm' });
  for (const [name, values] of [['rnn.bias_ih_l0', saturated.model.get('rnn.bias_ih_l0').fill(30)]] as const) {
    saturated.model.set(name, values);
  }
  const again = await watch(saturated.fit(sequences(32, true) as never, { epochs: 110, batchSize: 32 }));
  const gates = again.warnings.filter(({ kind }) => kind === 'saturated');
  is(gates.length, 1);
  match(gates[0].message, /^rnn l0: 100 % of its gates are saturated/);
});

test('overflow: an event with the likely cause, then the error that names it too', async () => {
  const examples = sequences(64, true).map(({ input }, i) => ({ input, target: [1e4 * (i % 2)] }));
  const make = () =>
    SequenceRegressor.create({
      cell: 'residual',
      inputSize: 1,
      outputSize: 1,
      hiddenSize: 8,
      seed: 1,
      runtime: shared,
    });
  const model = await make();
  const options = { optimizer: 'sgd', learningRate: 0.05, clipNorm: 0, epochs: 400 } as const;
  const { warnings, error } = await watch(model.fit(examples, options));
  instance(error, NonFiniteError);
  const overflow = warnings.filter(({ kind }) => kind === 'overflow');
  is(overflow.length, 1);
  is(overflow[0].message, error?.message);
  match(
    error?.message ?? '',
    /did not change the model.*The likely cause: exploding gradients, whose norm rose .* times; clipNorm is 0/s,
  );
  is(overflow[0].step, (error as NonFiniteError).step - 1);
  // whoever awaits the run gets the same error
  const other = await make();
  let caught: Error | null = null;
  try {
    await other.fit(examples, options);
  } catch (thrown) {
    caught = thrown as Error;
  }
  is(caught?.message, error?.message);
  // from the first step on
  const first = await make();
  first.model.set('head.bias', [3e38]);
  const at = await watch(first.fit(examples, options));
  match(at.error?.message ?? '', /The likely cause: inputs, targets or weights that are too large/);
});

test('looking changes no bit, and leaves no observer', async () => {
  const text = 'the quick brown fox jumps over the lazy dog. '.repeat(20);
  const options = { batchSize: 8, window: 16, learningRate: 0.01 };
  const make = () =>
    LanguageModel.create({ vocabulary: text, hiddenSize: 8, embeddingSize: 4, dropout: 0, seed: 3, runtime: shared });
  // the looks are at other steps where a training is made of several runs
  const [whole, parts] = [await make(), await make()];
  await whole.fit(text, { ...options, steps: 120 });
  for (const steps of [49, 3, 68]) await parts.fit(text, { ...options, steps });
  equal(parts.save(), whole.save());
  is(whole.model.observer, null);
});

test('the command line says it', () => {
  const folder = mkdtempSync(join(tmpdir(), 'gatewise-warnings-'));
  const program = fileURLToPath(new URL('../../dist/cli.js', import.meta.url));
  try {
    writeFileSync(join(folder, 'text.txt'), 'to be or not to be, that is the question. '.repeat(60));
    const small = ['--hidden', '8', '--embedding', '4', '--window', '16', '--batch', '8', '--sample-every', '0'];
    const args = ['train', 'text.txt', '--steps', '101', '--clip', '0.0001', ...small];
    const said = execFileSync(process.execPath, [program, ...args], { cwd: folder, encoding: 'utf8' });
    match(said, /warning: 100 of 100 updates were clipped/);
    is(said.match(/warning:/g)?.length, 1);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test.after(() => shared.dispose());
test.run();
