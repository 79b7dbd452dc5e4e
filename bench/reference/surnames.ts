/** Which of 18 languages a surname is from, compared with the same training in PyTorch. */
import { readdirSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { crossEntropyLoss, Optimizer, type Tape, train } from 'gatewise';
import { SequenceClassifier } from 'gatewise/tasks';
import { readSafetensors } from '#dist/bindings/files/safetensors.js';
import { Chance } from '../../examples/support/chance.js';
import { follow } from './data.js';
import type { Reference } from './reference.js';

const LETTERS = "abcdefghijklmnopqrstuvwxyz '-.,";
/** PyTorch's table has a row for the padding at its front; so has ours, that its weights fit. */
const PADDING = '_';
const RECIPE = { batchSize: 64, learningRate: 2e-3, clipNorm: 1 };

interface Theirs {
  readonly first20_loss_gradnorm: readonly [number, number][];
  /** Pass, training loss, test loss, test accuracy, macro-F1. */
  readonly history_epoch_trainloss_testloss_testacc_macroF1: readonly [number, number, number, number, number][];
}

interface Name {
  readonly input: string;
  readonly label: string;
}

export const surnames: Reference = {
  name: 'surnames',
  title: 'surname → language, GRU 1×128, 18 classes',
  needs: [
    'data/surnames/names',
    'reference/surnames_s1.json',
    'reference/surnames_s1.init.safetensors',
    'reference/surnames_s1.final.safetensors',
  ],
  async run(path, report) {
    const { training, test, classes } = await read(path('data/surnames/names'));
    const create = (seed: number) =>
      SequenceClassifier.create({
        vocabulary: [PADDING, ...LETTERS],
        embeddingSize: 32,
        cell: 'gru',
        hiddenSize: 128,
        classes,
        seed,
      });
    const loaded = async (file: string) => {
      const model = await create(0);
      const { tensors } = readSafetensors(await readFile(path(file)));
      for (const [name, { data }] of tensors) model.model.set(name.replace(/^gru\./, 'rnn.'), data);
      return model;
    };
    const theirs: Theirs = JSON.parse(await readFile(path('reference/surnames_s1.json'), 'utf8'));

    const final = await loaded('reference/surnames_s1.final.safetensors');
    const { accuracy, loss } = await final.evaluate(test);
    const [, , theirLoss, theirAccuracy] = theirs.history_epoch_trainloss_testloss_testacc_macroF1[9];
    report.check(
      "test loss of PyTorch's final weights",
      loss,
      `${theirLoss.toFixed(5)} ± 0.0001`,
      Math.abs(loss - theirLoss) <= 1e-4,
    );
    report.check(
      'their test accuracy',
      accuracy,
      `${theirAccuracy.toFixed(5)} ± one name in ${test.length}`,
      Math.abs(accuracy - theirAccuracy) * test.length < 1.5,
    );
    final.dispose();

    const init = await loaded('reference/surnames_s1.init.safetensors');
    const worst = await firstLosses(init, training, classes, theirs.first20_loss_gradnorm);
    report.check(
      "first 20 losses from PyTorch's initial weights",
      worst,
      'within 1e-4 of theirs, relative',
      worst <= 1e-4,
    );
    init.dispose();

    const own = await create(1);
    await follow(own.fit(training, { ...RECIPE, epochs: 10 }), report, 'seed 1', async (pass) => {
      if (pass === 5) report.note('test accuracy after 5 passes', (await own.evaluate(test)).accuracy);
    });
    const reached = await own.evaluate(test);
    report.note('macro-F1 after 10 epochs', reached.macroF1);
    report.check(
      'test accuracy after 10 passes from our own initial weights',
      reached.accuracy,
      'at least 0.828',
      reached.accuracy >= 0.828,
    );
    own.dispose();
  },
};

async function read(folder: string): Promise<{ training: Name[]; test: Name[]; classes: string[] }> {
  const classes = readdirSync(folder)
    .map((file) => file.replace(/\.txt$/, ''))
    .sort();
  const all: Name[] = [];
  for (const label of classes) {
    const lines = (await readFile(`${folder}/${label}.txt`, 'utf8')).split('\n');
    for (const line of lines) {
      const input = [...line.trim().normalize('NFD').toLowerCase()].filter((c) => LETTERS.includes(c)).join('');
      if (input) all.push({ input, label });
    }
  }
  const mixed = new Chance(12345).shuffled(all);
  const cut = Math.floor(all.length / 10);
  return { test: mixed.slice(0, cut), training: mixed.slice(cut), classes };
}

/** Trains on PyTorch's batches, in their order; the largest distance of a loss from its own, relative. */
async function firstLosses(
  { model }: SequenceClassifier,
  names: readonly Name[],
  classes: readonly string[],
  theirs: readonly (readonly [number, number])[],
): Promise<number> {
  const order = new Chance(1000).shuffled(names);
  const { batchSize, learningRate, clipNorm } = RECIPE;
  let from = 0;
  const next = () => {
    const batch = order.slice(from, from + batchSize);
    from += batchSize;
    const labels = batch.map(({ label }) => classes.indexOf(label));
    return {
      loss: (tape: Tape, layers: typeof model.layers) => {
        const inputs = batch.map(({ input }) => layers.input.encode('name', input));
        return crossEntropyLoss(tape, layers.forward(tape, inputs), labels);
      },
    };
  };
  let worst = 0;
  const options = { steps: theirs.length, clipNorm };
  for await (const { step, loss } of train(model, new Optimizer(model, { learningRate }), options, next)) {
    worst = Math.max(worst, Math.abs(loss / theirs[step - 1][0] - 1));
  }
  return worst;
}
