/**
 * Sequence to labels: gradients with a softmax and with a CRF, several sets of labels, several features, frames, padding, the best
 * path against all paths, metrics counted by hand, streams, files, what it says to bad input, and small tasks learned.
 */
import { bceWithLogitsLoss, crossEntropyLoss, read, type Tape } from 'gatewise';
import {
  type Classes,
  type Sequence,
  SequenceTagger,
  type SequenceTaggerOptions,
  type TaggerExample,
  type TaggerReport,
  type TagMetrics,
  type TagPrediction,
} from 'gatewise/tasks';
import { test } from 'uvu';
import { equal, is, ok, throws } from 'uvu/assert';
import { close, random, uniform } from './support/numbers.js';
import { ALPHABET, drawTexts } from './support/puzzles.js';
import { rejects } from './support/rejects.js';
import { batchAndSingles, checkGradients, gradients, learn, refuses, same, scaleWeights } from './support/tasks.js';

type Layers = SequenceTagger['model']['layers'];

const SMALL = { vocabulary: 'abc', embeddingSize: 3, hiddenSize: 5, classes: ['N', 'V', 'X'], seed: 3 } as const;
const create = (options: Partial<SequenceTaggerOptions> = {}): Promise<SequenceTagger> =>
  SequenceTagger.create<Classes, boolean, boolean>({
    ...SMALL,
    // one says what is read
    ...(options.inputSize || options.features ? { vocabulary: undefined, embeddingSize: undefined } : {}),
    ...options,
  });

const TEXTS = ['abcab', 'ccabca', 'b', 'ac'];
const random5 = random(5);
const FRAMES = TEXTS.map(({ length }) => uniform(random5, 2 * length));
const TAGGED = TEXTS.map((text) => ({ word: [...text], mark: [...text].map((c) => (c === 'a' ? '1' : '0')) }));

/** Labels of the four sequences, drawn from a list. */
const draw = (from: readonly string[], seed: number) => {
  const next = random(seed);
  return TEXTS.map((text) => [...text].map(() => from[Math.floor(next() * from.length)]));
};
const SETS = { pos: ['N', 'V', 'X'], entity: ['O', 'B-A', 'I-A', 'B-B'] };
const one = draw(SMALL.classes, 1);
const [pos, entity] = [draw(SETS.pos, 2), draw(SETS.entity, 3)];
const two = TEXTS.map((_, i) => ({ pos: pos[i], entity: entity[i] }));

/** Several labels, or none, for each step: the one there is, and the next class; where it is the first class, none. */
const several = (labels: readonly (readonly string[])[], classes: readonly string[]) =>
  labels.map((steps) =>
    steps.map((label) => {
      const c = classes.indexOf(label);
      return c ? [label, classes[(c + 1) % classes.length]] : [];
    }),
  );
const severalOfTwo = TEXTS.map((_, i) => ({
  pos: several(pos, SETS.pos)[i],
  entity: several(entity, SETS.entity)[i],
}));

type Lists<T> = Readonly<Record<string, T>>;
/** The labels of a prediction by the names of the sets, '' where there is one. */
const setsOf = ({ labels }: TagPrediction): Lists<readonly unknown[]> =>
  Array.isArray(labels) ? { '': labels } : (labels as Lists<readonly unknown[]>);
const probabilitiesOf = (p: TagPrediction): Lists<Float32Array> => {
  if (!('probabilities' in p)) return {};
  return p.probabilities instanceof Float32Array ? { '': p.probabilities } : (p.probabilities as Lists<Float32Array>);
};
const metricsOf = (report: TaggerReport): Lists<TagMetrics> =>
  ('sets' in report ? report.sets : { '': report }) as Lists<TagMetrics>;

/** What is predicted: options, and the labels of the four sequences. */
const kinds: [string, Partial<SequenceTaggerOptions>, TaggerExample['labels'][]][] = [
  ['softmax', {}, one],
  ['CRF', { crf: true }, one],
  ['two sets, softmax', { classes: SETS }, two],
  ['two sets, CRF', { classes: SETS, crf: true }, two],
  // seeds with which no unit of the perceptrons is close to the corner of its ReLU, where differences are wrong
  ['several labels', { multiLabel: true, seed: 13 }, several(one, SMALL.classes)],
  ['two sets, several labels', { classes: SETS, multiLabel: true, seed: 13 }, severalOfTwo],
];
/** What is read. */
const inputs: [string, Partial<SequenceTaggerOptions>, Sequence[]][] = [
  ['LSTM in both directions', { bidirectional: true }, TEXTS],
  ['frames, GRU', { inputSize: 2, cell: 'gru' }, FRAMES],
  [
    'two features, RNN of 2 layers',
    {
      features: { word: { vocabulary: 'abc', embeddingSize: 3 }, mark: { vocabulary: '01', embeddingSize: 2 } },
      cell: 'rnn',
      numLayers: 2,
    },
    TAGGED,
  ],
  ['GRU in both directions of 2 layers', { cell: 'gru', hiddenSize: [4, 5], bidirectional: true, merge: 'sum' }, TEXTS],
  ['LSTM backwards', { reverse: true }, TEXTS],
];

const examplesOf = (sequences: readonly Sequence[], labels: TaggerExample['labels'][]): TaggerExample[] =>
  sequences.map((input, i) => ({ input, labels: labels[i] }));

/** The loss that fit is to minimise, made of the layers. */
function lossOf(task: SequenceTagger, examples: readonly TaggerExample[]) {
  const { layers } = task.model;
  const batch = examples.map(({ input }) => layers.input.encode('input', input));
  return (tape: Tape, { sets, chains, settings }: Layers) =>
    layers.forward(tape, batch).map((rows, k) => {
      const { name, classes } = sets[k];
      if (settings.multiLabel) {
        const ones = new Float32Array(rows.T * rows.B * rows.F);
        examples.forEach(({ labels: given }, b) => {
          const own = (name ? (given as Record<string, string[][]>)[name] : given) as string[][];
          own.forEach((labels, t) => {
            for (const label of labels) ones[(t * rows.B + b) * rows.F + classes.indexOf(label)] = 1;
          });
        });
        return { loss: bceWithLogitsLoss(tape, rows, ones), weight: 1 };
      }
      const targets = new Int32Array(rows.T * rows.B).fill(-1);
      examples.forEach(({ labels: given }, b) => {
        const own = (name ? (given as Record<string, string[]>)[name] : given) as string[];
        own.forEach((label, t) => (targets[t * rows.B + b] = classes.indexOf(label)));
      });
      const loss = chains.length
        ? chains[k].loss(tape, rows, targets, { reduction: 'tokenMean' })
        : crossEntropyLoss(tape, rows, targets);
      return { loss, weight: 1 };
    });
}

let worst = 0;
let made = 0;
for (const [kind, options, labels] of kinds) {
  for (const [i, [reads, own, sequences]] of inputs.entries()) {
    const hiddenLayers = i % 2 ? [6] : [];
    test(`gradients: ${kind}, ${hiddenLayers.length ? 'perceptron' : 'linear'}, ${reads}`, async () => {
      using task = await create({ ...options, ...own, hiddenLayers, inputDropout: 0.1, outputDropout: 0.1 });
      scaleWeights(task.model, 2);
      worst = Math.max(worst, checkGradients(task.model, lossOf(task, examplesOf(sequences, labels))));
      made++;
    });
  }
}
test('all of them are within the bound', () => {
  console.log(`  worst error of all ${made} gradients: ${worst.toExponential(1)}, bound 2e-3`);
  is(made, kinds.length * inputs.length);
});

for (const [kind, options, labels] of kinds) {
  test(`${kind}: fit minimises that loss; padded batches give that of one by one`, async () => {
    for (const [, own, sequences] of inputs) {
      using task = await create({ ...options, ...own, hiddenLayers: [6] });
      const examples = examplesOf(sequences, labels);
      const want = task.model.valueAndGrad(lossOf(task, examples));
      const slopes = gradients(task.model);
      const both = await batchAndSingles(task, examples, (i) => TEXTS[i].length);
      close(both.loss, [want, want], 1e-6, 'loss');
      close(both.gradients[0], slopes, 1e-5, 'gradients');
      close(both.gradients[1], slopes, 1e-5, 'gradients one by one');
      const [all, single] = [await task.evaluate(examples), await task.evaluate(examples, { batchSize: 1 })];
      close([all.loss, single.loss], [want, want], 1e-6, 'loss of evaluate');
      equal({ ...all, loss: 0 }, { ...single, loss: 0 });
      const together = await task.predict(sequences);
      const alone = await task.predict(sequences, { batchSize: 1 });
      together.forEach((p, i) => {
        equal(p.labels, alone[i].labels);
        for (const own of Object.values(setsOf(p))) is(own.length, TEXTS[i].length);
        is('probabilities' in p, !options.crf);
        for (const [name, sure] of Object.entries(probabilitiesOf(p))) {
          const K = options.multiLabel ? (name ? SETS[name as 'pos'] : SMALL.classes).length : 1;
          is(sure.length, TEXTS[i].length * K);
          close(sure, probabilitiesOf(alone[i])[name], 1e-6, 'probabilities');
        }
      });
    }
  });
}

test('a softmax predicts the most probable label of each step; a CRF the best path of all', async () => {
  for (const crf of [false, true]) {
    using task = await create({ crf, bidirectional: true });
    scaleWeights(task.model, 4);
    if (crf) task.model.set('crf.transitions', uniform(random(8), 9, 3));
    const said = await task.predict(TEXTS);
    const K = 3;
    let differ = 0;
    TEXTS.forEach((text, i) => {
      const T = text.length;
      const x = task.model.forward((tape, layers) =>
        read(tape, layers.forward(tape, [layers.input.encode('input', text)])[0]),
      );
      const [start, end, moves] = ['start_transitions', 'end_transitions', 'transitions'].map((name) =>
        crf ? task.model.get(`crf.${name}`) : new Float32Array(K * K),
      );
      let best = { score: -Infinity, path: [] as number[] };
      for (let code = 0; code < K ** T; code++) {
        const path = Array.from({ length: T }, (_, t) => Math.floor(code / K ** t) % K);
        const score = path.reduce(
          (sum, c, t) => sum + x[t * K + c] + (t ? moves[path[t - 1] * K + c] : start[c]),
          end[path[T - 1]],
        );
        if (score > best.score) best = { score, path };
      }
      equal(
        said[i].labels,
        best.path.map((c) => SMALL.classes[c]),
      );
      const greedy = Array.from({ length: T }, (_, t) =>
        [0, 1, 2].reduce((a, c) => (x[t * K + c] > x[t * K + a] ? c : a), 0),
      );
      if (greedy.join() !== best.path.join()) differ++;
      if (crf) return;
      const e = Array.from(x, Math.exp);
      best.path.forEach((c, t) => {
        const sum = e[t * K] + e[t * K + 1] + e[t * K + 2];
        ok(Math.abs(probabilitiesOf(said[i])[''][t] - e[t * K + c] / sum) < 1e-6);
      });
    });
    ok(crf ? differ > 1 : differ === 0, `${differ} paths are not those of the steps`);
  }
});

test('metrics of evaluate are those counted by hand', async () => {
  using task = await SequenceTagger.create({ ...SMALL, classes: SETS });
  for (const { name, size } of task.model.parameters) task.model.set(name, new Float32Array(size));
  // always V, and B-A
  task.model.set('head.pos.bias', [0.2, 0.5, 0.3].map(Math.log));
  task.model.set('head.entity.bias', [0.1, 0.6, 0.2, 0.1].map(Math.log));
  const report = await task.evaluate([
    { input: 'ab', labels: { pos: ['V', 'N'], entity: ['B-A', 'I-A'] } },
    { input: 'cab', labels: { pos: ['V', 'X', 'V'], entity: ['O', 'B-A', 'B-B'] } },
  ]);
  is(report.accuracy, (3 / 5 + 2 / 5) / 2, 'the mean over the sets');
  is(report.sets.pos.accuracy, 3 / 5);
  is(report.sets.entity.accuracy, 2 / 5);
  equal(report.sets.pos.classes.V, { precision: 3 / 5, recall: 1, f1: 0.75, support: 3 });
  equal(report.sets.pos.classes.N, { precision: 0, recall: 0, f1: 0, support: 1 });
  // five stretches of one step are said; those there are: 0-2 A, 1-2 A, 2-3 B
  equal(report.sets.entity.spans, { precision: 1 / 5, recall: 1 / 3, f1: 2 / 8, support: 3 });
  const logs = [0.5, 0.2, 0.5, 0.3, 0.5, 0.6, 0.2, 0.1, 0.6, 0.1].map(Math.log);
  close([report.loss], [-logs.reduce((a, b) => a + b) / 5], 1e-6, 'loss, the sum over the sets');
  const [said] = await task.predict(['abc']);
  equal(said.labels, { pos: ['V', 'V', 'V'], entity: ['B-A', 'B-A', 'B-A'] });
  close(said.probabilities.entity, [0.6, 0.6, 0.6], 1e-6, 'probabilities');
  using single = await SequenceTagger.create({ ...SMALL });
  const one = await single.evaluate([{ input: 'ab', labels: ['N', 'V'] }]);
  equal(Object.keys(one), ['loss', 'accuracy', 'classes', 'spans']);
  const [{ labels }] = await single.predict(['ab']);
  const typed: readonly ('N' | 'V' | 'X')[] = labels;
  is(typed.length, 2);
  using chain = await SequenceTagger.create({ ...SMALL, crf: true });
  // @ts-expect-error a CRF has no probabilities of steps
  is((await chain.predict(['ab']))[0].probabilities, undefined);
});

test('several labels: probabilities by name, thresholds, and metrics counted by hand', async () => {
  using task = await SequenceTagger.create({ ...SMALL, multiLabel: true });
  for (const { name, size } of task.model.parameters) task.model.set(name, new Float32Array(size));
  const p = [0.9, 0.5, 0.2];
  task.model.set(
    'head.bias',
    p.map((x) => Math.log(x / (1 - x))),
  );
  const [said] = await task.predict(['ab']);
  const typed: readonly (readonly ('N' | 'V' | 'X')[])[] = said.labels;
  equal(typed, [
    ['N', 'V'],
    ['N', 'V'],
  ]);
  close(said.probabilities, [...p, ...p], 1e-6, 'probabilities [T,classes]');
  close(said.probability.X, [0.2, 0.2], 1e-6, 'probability of a class [T]');
  equal(Object.keys(said.probability), ['N', 'V', 'X']);
  equal((await task.predict(['a'], { threshold: 0.1 }))[0].labels, [['N', 'V', 'X']]);
  equal((await task.predict(['a'], { threshold: 0.95 }))[0].labels, [[]]);
  const report = await task.evaluate([
    { input: 'ab', labels: [['N', 'V'], ['N']] },
    { input: 'c', labels: [[]] },
  ]);
  is(report.accuracy, 1 / 3, 'steps whose labels are all right');
  equal(report.classes.N, { precision: 2 / 3, recall: 1, f1: 0.8, support: 2 });
  equal(report.classes.V, { precision: 1 / 3, recall: 1, f1: 0.5, support: 1 });
  equal(report.classes.X, { precision: 0, recall: 0, f1: 0, support: 0 });
  is(report.macroF1, (0.8 + 0.5) / 3);
  is(report.microF1, 6 / 9);
  const logs = [0.9, 0.5, 0.8, 0.9, 0.5, 0.8, 0.1, 0.5, 0.8].map(Math.log);
  close([report.loss], [-logs.reduce((a, b) => a + b) / 9], 1e-6, 'the mean over steps and classes');
  const classes = { pos: ['N', 'V'], entity: ['O', 'B-A', 'B-B'] } as const;
  using sets = await SequenceTagger.create({ ...SMALL, classes, multiLabel: true });
  const [two] = await sets.predict(['ab']);
  const entity: readonly (readonly ('O' | 'B-A' | 'B-B')[])[] = two.labels.entity;
  is(entity.length, 2);
  const probability: Float32Array = two.probability.pos.V;
  is(probability.length, 2);
  using single = await SequenceTagger.create({ ...SMALL });
  // @ts-expect-error a threshold is for several labels
  throws(() => single.predict(['a'], { threshold: 0.4 }), /threshold: needs multiLabel: true/);
  // @ts-expect-error probabilities by name are of several labels
  is((await single.predict(['a']))[0].probability, undefined);
  throws(
    () => task.predict(['a'], { threshold: 2 }),
    /threshold: expected a finite number of at least 0 and at most 1, got 2/,
  );
});

test('labels are lists of names, or frames of zeros and ones: the same bits', async () => {
  const given: TaggerExample<readonly ['N', 'V', 'X'], true>['labels'][] = [
    [['V'], [], ['X', 'N']],
    [[0, 1, 0], [], Float32Array.of(1, 0, 1)].map((frame) => (frame.length ? frame : [0, 0, 0])),
    Float32Array.of(0, 1, 0, 0, 0, 0, 1, 0, 1),
    Float64Array.of(0, 1, 0, 0, 0, 0, 1, 0, 1),
  ];
  const files: Uint8Array[] = [];
  for (const labels of given) {
    using task = await SequenceTagger.create({ ...SMALL, multiLabel: true });
    await task.fit([{ input: 'abc', labels }], { epochs: 3 });
    files.push(task.save());
  }
  for (const file of files) ok(same(file, files[0]));
  using loaded = await SequenceTagger.load(files[0]);
  is(loaded.config.multiLabel, true);
  const [said] = await loaded.predict(['ab'], { threshold: 0.4 });
  ok('probability' in said);
});

test('several labels: options and labels that are refused', async () => {
  // @ts-expect-error a chain has one label in each step
  const clash = SequenceTagger.create({ ...SMALL, crf: true, multiLabel: true });
  await rejects(clash, /crf and multiLabel cannot be combined: a chain has one label in each step/);
  await rejects(SequenceTagger.create({ ...SMALL, multiLabel: 1 } as never), /multiLabel: expected true or false/);
  using task = await SequenceTagger.create({ ...SMALL, multiLabel: true });
  const fit = (labels: unknown) => () => task.fit([{ input: 'ab', labels } as never]);
  refuses(
    () => task.save(),
    [
      [
        fit(['N', 'V']),
        /examples\[0\].labels\[0\]: expected a list of labels, or a frame of 3 zeros and ones, got 'N'/,
      ],
      [fit([['N'], ['Q']]), /examples\[0\].labels\[1\]\[0\]: 'Q' is not among the classes N, V and X/],
      [fit([['N']]), /examples\[0\].labels: labels of 1 steps for 2 steps/],
      [fit([[1, 0, 0], [1]]), /examples\[0\].labels\[1\]: expected a frame of 3 zeros and ones, got Array of length 1/],
      [
        fit([
          [1, 0, 0],
          [1, 0.5, 0],
        ]),
        /examples\[0\].labels\[1\]\[1\]: expected 0 or 1, got 0.5/,
      ],
      [
        fit([
          [1, 0, 0],
          [1, 'N', 0],
        ]),
        /examples\[0\].labels\[1\]\[1\]: expected 0 or 1, got 'N'/,
      ],
      [fit([['N', 0], ['V']]), /examples\[0\].labels\[0\]\[1\]: 0 is not among the classes/],
      [fit(Float32Array.of(1, 0, 0)), /examples\[0\].labels: 3 numbers for 2 steps of 3 classes/],
      [fit(Float32Array.of(1, 0, 0, 0, 0, 2)), /examples\[0\].labels\[5\]: expected 0 or 1, got 2/],
      [
        fit('NV'),
        /examples\[0\].labels: expected a list of labels, or a frame of zeros and ones, for each step, got 'NV'/,
      ],
      [fit([null, ['N']]), /examples\[0\].labels\[0\]: expected a list of labels/],
    ],
  );
  // @ts-expect-error a list of labels in each step
  throws(() => task.fit([{ input: 'a', labels: ['N'] }]), /labels\[0\]: expected a list of labels/);
});

for (const [reads, own, sequences] of inputs.filter(([, { bidirectional, reverse }]) => !bidirectional && !reverse)) {
  for (const multiLabel of [false, true])
    test(`a stream says step by step what predict says of the whole: ${reads}${multiLabel ? ', several labels' : ''}`, async () => {
      using task = await create({ ...own, classes: SETS, multiLabel });
      scaleWeights(task.model, 3);
      const whole = await task.predict(sequences);
      const cut = (sequence: Sequence, from: number, to: number): Sequence =>
        sequence instanceof Float32Array
          ? sequence.slice(2 * from, 2 * to)
          : Object.fromEntries(Object.entries(sequence).map(([name, list]) => [name, list.slice(from, to)]));
      // side by side
      const streams = sequences.map(() => task.stream());
      for (let t = 0; t < 6; t++) {
        sequences.forEach((sequence, i) => {
          if (t >= TEXTS[i].length) return;
          const step = streams[i].step(cut(sequence, t, t + 1));
          for (const name of ['pos', 'entity'] as const) {
            equal(setsOf(step)[name], [setsOf(whole[i])[name][t]]);
            const K = multiLabel ? SETS[name].length : 1;
            equal([...probabilitiesOf(step)[name]], [...probabilitiesOf(whole[i])[name].slice(t * K, (t + 1) * K)]);
          }
        });
      }
      const stream = task.stream();
      stream.step(cut(sequences[0], 0, 2));
      const kept = stream.save();
      const clone = stream.clone();
      const rest = stream.step(cut(sequences[0], 2, 5));
      equal(setsOf(rest).pos, setsOf(whole[0]).pos.slice(2));
      equal(clone.step(cut(sequences[0], 2, 5)), rest, 'a clone moves on its own');
      equal(task.stream(kept).step(cut(sequences[0], 2, 5)), rest, 'from a state that was kept');
      stream.reset();
      equal(stream.step(sequences[1]), whole[1], 'after a reset');
    });
}

test('streams are for models that read forward, without a CRF', async () => {
  for (const options of [{ bidirectional: true }, { reverse: true }, { crf: true }]) {
    using task = await create(options);
    throws(() => task.stream(), /stream: needs a model that reads forward in time only, without a CRF/);
  }
  using task = await create();
  throws(() => task.stream().step('ad'), /input: "d" is not in the vocabulary/);
  using other = await create({ hiddenSize: 4 });
  throws(() => task.stream(other.stream().save()), /the state's h has the sizes \[4\], the model's layers \[5\]/);
});

for (const [kind, options, labels] of kinds) {
  test(`saved and loaded it predicts the same and resumes with the same bits: ${kind}`, async () => {
    const own = { ...options, bidirectional: true, hiddenLayers: [6], inputDropout: 0.1, outputDropout: 0.2 };
    const examples = examplesOf(TEXTS, labels);
    const fit = { batchSize: 3, learningRate: 1e-2, schedule: { kind: 'cosine', steps: 8 } } as const;
    using whole = await create(own);
    await whole.fit(examples, { ...fit, epochs: 4 });
    using half = await create(own);
    await half.fit(examples, { ...fit, epochs: 2 });
    using again = await SequenceTagger.load(half.save());
    using weights = await SequenceTagger.load(half.save({ weightsOnly: true }));
    equal(again.config, half.config);
    equal(await again.predict(TEXTS), await half.predict(TEXTS));
    equal(await weights.evaluate(examples), await half.evaluate(examples));
    await half.fit(examples, { ...fit, epochs: 2 });
    await again.fit(examples, { ...fit, epochs: 2 });
    ok(same(whole.save(), half.save()), 'four epochs are two and two');
    ok(same(whole.save(), again.save()), 'also through a file');
  });
}

test('ten thousand sequences: progress, memory that stays as it is, and a signal that stops', async () => {
  for (const crf of [false, true]) {
    using task = await create({ hiddenSize: 16, crf });
    const sequences = Array.from({ length: 10_000 }, (_, i) => 'abccbabca'.slice(0, 1 + ((i * 7) % 9)));
    const reserved: number[] = [];
    const done: number[] = [];
    for await (const p of task.predict(sequences, { batchSize: 100 })) {
      done.push(p.done);
      reserved.push(task.runtime.memory().bytesReserved);
    }
    equal(
      done,
      Array.from({ length: 100 }, (_, i) => 100 * (i + 1)),
    );
    is(new Set(reserved.slice(20)).size, 1, `${reserved}`);
    const stop = new AbortController();
    const cancelled = (async () => {
      for await (const p of task.predict(sequences, { batchSize: 100, signal: stop.signal }))
        if (p.done === 700) stop.abort(new Error(`enough after ${p.done}`));
    })();
    await rejects(cancelled, /enough after 700/);
    is(setsOf((await task.predict(['abc']))[0])[''].length, 3);
  }
});

test('create says what is wrong with its options', async () => {
  const wrong: [object, RegExp][] = [
    [{ classes: undefined }, /classes: expected a list of names, or lists by the names of sets, got undefined/],
    [{ classes: null }, /classes: expected a list of names, or lists by the names of sets, got null/],
    [{ classes: 'NVX' }, /classes: expected a list of names.*got 'NVX'/],
    [{ classes: [] }, /classes: expected a list of at least one name, got Array of length 0/],
    [{ classes: {} }, /classes: expected at least one/],
    [{ classes: ['N', 'V', 'N'] }, /classes: duplicate 'N'/],
    [{ classes: { pos: ['N', 5] } }, /classes.pos\[1\]: expected a string, got 5/],
    [{ classes: { pos: 'NV' } }, /classes.pos: expected a list of names, got 'NV'/],
    [{ classes: { '': ['N', 'V'] } }, /classes: expected names that are not empty/],
    [{ crf: 1 }, /crf: expected true or false, got 1/],
    [{ hiddenLayers: 4 }, /hiddenLayers: expected a list of widths, got 4/],
    [{ outputDropout: 1.5 }, /outputDropout: expected a number below 1, got 1.5/],
    [{ labels: ['a'] }, /unknown option 'labels'; did you mean 'classes'/],
    [{ bidirectional: true, reverse: true }, /bidirectional and reverse cannot be combined/],
    [{ unknown: '?' }, /unknown: '\?' is not in the vocabulary/],
    [{ vocabulary: undefined }, /vocabulary, features or inputSize.*none was given/],
    [
      { vocabulary: undefined, features: { word: { vocabulary: 'ab', embeddingSize: 2 } } },
      /embeddingSize and features cannot be combined/,
    ],
  ];
  for (const [options, message] of wrong)
    await rejects(SequenceTagger.create({ ...SMALL, ...options } as never), message);
});

test('bad examples and options are refused before a step, and change nothing', async () => {
  using task = await create({ crf: true });
  await task.fit(examplesOf(TEXTS, one), { epochs: 1 });
  const good = { input: 'ab', labels: ['N', 'V'] };
  const fit = (examples: unknown, options: object = {}) => task.fit(examples as never, options);
  refuses(
    () => task.save(),
    [
      [() => fit([]), /examples: expected at least one/],
      [() => fit(good), /examples: expected a list of { input, labels }, got an object/],
      [() => fit([good, null]), /examples\[1\]: expected { input, labels }, got null/],
      [() => fit([good, { input: '', labels: [] }]), /examples\[1\].input: is empty/],
      [() => fit([good, { input: 'ad', labels: ['N', 'V'] }]), /examples\[1\].input: "d" is not in the vocabulary/],
      [() => fit([good, { input: 'ab', labels: ['N'] }]), /examples\[1\].labels: 1 labels for 2 steps/],
      [() => fit([good, { input: 'ab', labels: ['N', 'V', 'X'] }]), /examples\[1\].labels: 3 labels for 2 steps/],
      [
        () => fit([good, { input: 'ab', labels: ['N', 'Q'] }]),
        /examples\[1\].labels\[1\]: 'Q' is not among the classes N, V and X/,
      ],
      [() => fit([good, { input: 'ab', labels: [0, 1] }]), /examples\[1\].labels\[0\]: 0 is not among the classes/],
      [() => fit([good, { input: 'ab', labels: 'NV' }]), /examples\[1\].labels: expected a list of labels, got 'NV'/],
      [() => fit([good, { input: 'ab' }]), /examples\[1\].labels: expected a list of labels, got undefined/],
      [() => fit([good], { epochs: -1 }), /epochs: .*got -1/],
      [() => fit([good], { batchSize: 0.5 }), /batchSize: .*got 0.5/],
      [() => fit([good], { classWeights: [1] }), /unknown option 'classWeights'/],
      [() => fit([good], { signal: 1 }), /signal: expected an AbortSignal, got 1/],
      [() => task.evaluate([]), /examples: expected at least one/],
      [() => task.evaluate([good], { batchSize: 0 }), /batchSize: .*got 0/],
      [() => task.predict('ab' as never), /inputs: expected a list of sequences, got 'ab'/],
      [() => task.predict(['a', '']), /inputs\[1\]: is empty/],
      [() => task.predict(['ab', 'q']), /inputs\[1\]: "q" is not in the vocabulary/],
      [() => task.predict(['a'], { signal: 'x' } as never), /signal: expected an AbortSignal/],
    ],
  );
  using sets = await create({ classes: SETS, inputSize: 2 });
  const frame = [[1, 2]];
  const with2 = (input: unknown, labels: unknown) => () => sets.fit([{ input, labels } as never]);
  refuses(
    () => sets.save(),
    [
      [with2(frame, { pos: ['N'] }), /examples\[0\].labels.entity: expected a list of labels, got undefined/],
      [
        with2(frame, { pos: ['N'], entity: ['B-C'] }),
        /examples\[0\].labels.entity\[0\]: 'B-C' is not among the classes O/,
      ],
      [with2(frame, { pos: ['N', 'V'], entity: ['O'] }), /examples\[0\].labels.pos: 2 labels for 1 steps/],
      [with2(frame, { pos: ['N'], entity: ['O'], mood: ['x'] }), /examples\[0\].labels: unknown option 'mood'/],
      [with2(frame, ['N']), /examples\[0\].labels: expected an object of options, got Array of length 1/],
      [
        with2([[1, 2], [3]], { pos: ['N', 'N'], entity: ['O', 'O'] }),
        /examples\[0\].input\[1\]: expected a vector of 2 numbers/,
      ],
      [with2([[1, Number.NaN]], { pos: ['N'], entity: ['O'] }), /examples\[0\].input: number 1 is NaN/],
    ],
  );
});

const data = { n: 500, unseen: 150, shortest: 2, longest: 8 };
/** Title, options, what is read of a text, and its labels. */
const routes: [
  string,
  Partial<SequenceTaggerOptions>,
  (text: string) => Sequence,
  (text: string) => TaggerExample['labels'],
][] = [
  [
    'softmax, forward: the letter before',
    { classes: ['-', ...ALPHABET] },
    (text) => text,
    (text) => [...`-${text}`.slice(0, -1)],
  ],
  [
    'softmax, both directions: whether the same letter comes again or was there',
    { classes: ['once', 'more'], bidirectional: true, cell: 'gru' },
    (text) => text,
    (text) => [...text].map((c) => (text.split(c).length > 2 ? 'more' : 'once')),
  ],
  [
    'CRF: stretches of a and b, begun again after each a',
    { classes: ['O', 'B-x', 'I-x'], crf: true, bidirectional: true },
    (text) => text,
    (text) => [...text].map((c, t) => (c > 'b' ? 'O' : c === 'a' || !/[ab]/.test(text[t - 1] ?? '') ? 'B-x' : 'I-x')),
  ],
  [
    'two sets over two features: the word before, and whether word and mark are both even',
    {
      classes: { before: ['-', ...ALPHABET], same: ['yes', 'no'] },
      features: {
        word: { vocabulary: ALPHABET, embeddingSize: 8 },
        mark: { vocabulary: '01', embeddingSize: 4 },
      },
    },
    (text) => ({ word: [...text], mark: [...text].map((_, t) => `${t % 2}`) }),
    (text) => ({
      before: [...`-${text}`.slice(0, -1)],
      same: [...text].map((c, t) => (ALPHABET.indexOf(c) % 2 === t % 2 ? 'yes' : 'no')),
    }),
  ],
  [
    'frames: whether the sum so far is above 0',
    { classes: ['above', 'below'], inputSize: 2 },
    (text) => [...text].map((c) => [ALPHABET.indexOf(c) - 1.75, text.length / 8]),
    (text) => {
      let sum = 0;
      return [...text].map((c) => {
        sum += ALPHABET.indexOf(c) - 1.75;
        return sum > 0 ? 'above' : 'below';
      });
    },
  ],
];

for (const [title, options, inputOf, labelsOf] of routes) {
  test(`learns ${title}`, async () => {
    const texts = drawTexts(data);
    const examples = (list: string[]) => list.map((text) => ({ input: inputOf(text), labels: labelsOf(text) }));
    const read = options.inputSize || options.features ? {} : { vocabulary: ALPHABET, embeddingSize: 8 };
    using task = await SequenceTagger.create<Classes, boolean, boolean>({
      hiddenSize: 24,
      seed: 1,
      ...read,
      ...options,
    } as SequenceTaggerOptions);
    const began = performance.now();
    const { loss, epoch } = await learn(task, examples(texts.seen), {
      epochs: 30,
      batchSize: 16,
      learningRate: 1e-2,
      schedule: { kind: 'cosine', steps: 960 },
      enough: 0.003,
    });
    const sets = metricsOf(await task.evaluate(examples(texts.unseen)));
    const seconds = ((performance.now() - began) / 1000).toFixed(1);
    const shares = Object.values(sets).map(({ accuracy }) => accuracy);
    const shown = shares.map((share) => `${(100 * share).toFixed(1)} %`).join(' and ');
    console.log(`  ${title}: ${shown} of unseen steps, loss ${loss.toFixed(4)}, ${epoch} epochs, ${seconds} s`);
    ok(Math.min(...shares) >= 0.99, shown);
    if (options.crf) ok(sets[''].spans.f1 >= 0.99, `spans ${sets[''].spans.f1}`);
  });
}

test.run();
