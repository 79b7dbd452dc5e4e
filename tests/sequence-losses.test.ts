/**
 * CTC and the linear-chain CRF: losses and gradients against their references, on guarded memory that starts as NaN and with NaN
 * after the ends of sequences; small cases are compared with the sum over all paths.
 */
import {
  Crf,
  type CtcOptions,
  ctcBestPath,
  ctcLoss,
  type Gradient,
  gradientOf,
  input,
  Linear,
  type Loss,
  Model,
  Optimizer,
  Recurrent,
  type Rows,
  Runtime,
  type Tape,
} from 'gatewise';
import { test } from 'uvu';
import { equal, is, ok, throws } from 'uvu/assert';
import { exact, Graph } from './reference/autodiff.js';
import * as crfReference from './reference/crf.js';
import * as ctcReference from './reference/ctc.js';
import { builds, guarded } from './support/builds.js';
import { close, error, random, uniform } from './support/numbers.js';
import { checkKernel, checkReference, type Operation } from './support/operation.js';
import {
  type CrfTest,
  type CtcTest,
  crfInputs,
  crfOperation,
  ctcOperation,
  labels,
  measure,
  on,
  type Shape,
  TINY,
  TINY_CRF,
} from './support/sequence.js';

const ctcTests: CtcTest[] = [
  { T: 1, B: 1, F: 1, targets: [[]] },
  { T: 1, B: 2, F: 2, targets: [[1], []] },
  { T: 3, B: 1, F: 3, targets: [[2, 2]] },
  { T: 4, B: 3, F: 4, targets: [[], [3, 1, 3], [1]], reduction: 'sum' },
  { T: 6, B: 4, F: 5, targets: [[1, 1, 2], [], [4, 3, 4, 3], [2]], lengths: [4, 1, 6, 1] },
  {
    T: 9,
    B: 2,
    F: 5,
    targets: [
      [0, 0, 1],
      [3, 2, 1, 1],
    ],
    blank: 4,
    lengths: [5, 9],
  },
  { T: 7, B: 2, F: 17, targets: [[16, 0, 16, 2], [15]], blank: 3, scale: 3 },
  { T: 40, B: 3, F: 16, targets: [5, 20, 0].map((n, b) => labels(b, n, 16, 0.3)), lengths: [31, 40, 33], scale: 4 },
  { T: 20, B: 2, F: 6, targets: [3, 8].map((n, b) => labels(b, n, 6, 0.2)), scale: 30 },
  { T: 30, B: 2, F: 65, targets: [9, 4].map((n, b) => labels(b, n, 65, 0.2)), lengths: [30, 5], reduction: 'sum' },
  { T: 31, B: 2, F: 7, targets: [15, 6].map((n, b) => labels(b, n, 7, 0.2)), sure: 6 },
  { T: 200, B: 2, F: 30, targets: [60, 20].map((n, b) => labels(b, n, 30, 0.1)), lengths: [200, 171], scale: 5 },
  { T: 4, B: 3, F: 4, targets: [[], [3, 1, 3], [1]], reduction: 'none', upstream: [0.5, -2, 0] },
  { T: 6, B: 2, F: 5, targets: [[1, 1, 2], [4]], lengths: [6, 2], reduction: 'none' },
];

const crfTests: CrfTest[] = [
  { T: 1, B: 1, F: 1 },
  { T: 5, B: 2, F: 1, lengths: [5, 2] },
  { T: 1, B: 3, F: 4, reduction: 'sum' },
  { T: 2, B: 1, F: 2 },
  { T: 6, B: 4, F: 3, lengths: [6, 1, 3, 5], reduction: 'tokenMean' },
  { T: 9, B: 2, F: 4, scale: 3 },
  { T: 7, B: 3, F: 5, lengths: [7, 7, 1], reduction: 'sum' },
  { T: 12, B: 2, F: 16 },
  { T: 11, B: 2, F: 17, lengths: [11, 8], reduction: 'tokenMean' },
  { T: 20, B: 2, F: 6, scale: 30 },
  { T: 14, B: 3, F: 7, forbidden: 5, lengths: [14, 3, 9] },
  { T: 200, B: 2, F: 9, lengths: [200, 133], scale: 2 },
  { T: 7, B: 3, F: 5, lengths: [7, 7, 1], reduction: 'none', upstream: [0.5, -2, 3] },
  { T: 4, B: 2, F: 3, reduction: 'none' },
];

const operations = [
  ...ctcTests.map((c, i) => ctcOperation(100 + i, c)),
  ...crfTests.map((c, i) => crfOperation(200 + i, c)),
];

for (const op of operations) {
  test(`reference: ${op.title}, gradient equals central differences to 1e-7`, () => checkReference(op));
  for (const build of builds) test(`${build}: ${op.title}`, () => checkKernel(op, build));
}

/** Loss and gradients of the reference, in double precision. */
function wanted(op: Operation) {
  const graph = new Graph(exact);
  const matrices = Object.fromEntries(
    Object.entries(op.inputs).map(([name, values]) => [name, graph.matrix(...op.shapes[name], values)]),
  );
  const { loss } = op.reference(graph, matrices);
  graph.backward([[loss, [1]]]);
  return { loss: loss.data, ...Object.fromEntries(Object.entries(matrices).map(([name, m]) => [name, m.grad])) };
}

// without what rounding would excuse
const hard = [
  ...operations,
  ctcOperation(299, { T: 31, B: 2, F: 7, targets: [15, 6].map((n, b) => labels(b, n, 7, 0.2)), sure: 12 }),
  ctcOperation(300, { T: 1000, B: 2, F: 12, targets: [100, 400].map((n, b) => labels(b, n, 12, 0.1)), scale: 3 }),
  ctcOperation(301, { T: 1000, B: 1, F: 12, targets: [labels(2, 150, 12, 0.2)], scale: 30 }),
  crfOperation(302, { T: 1000, B: 2, F: 9, lengths: [1000, 721] }),
  crfOperation(303, { T: 1000, B: 1, F: 6, scale: 30 }),
  crfOperation(304, { T: 1000, B: 1, F: 8, forbidden: 4, demanded: 2 }),
];
const expected = hard.map(wanted);
for (const build of builds) {
  test(`${build}: up to a thousand steps, all losses and gradients are within 1e-6 of double precision`, () => {
    let worst = 0;
    let where = '';
    hard.forEach((op, i) => {
      const { outputs, gradients } = op.kernel(build);
      for (const [name, want] of Object.entries(expected[i])) {
        const got = name === 'loss' ? outputs.loss : gradients[name];
        const e = error(got, want);
        if (!(e <= worst)) [worst, where] = [e, `${op.title}: ${name}`];
      }
    });
    console.log(`  ${worst.toExponential(1)}, ${where}`);
    ok(worst <= 1e-6);
  });
}

for (const build of builds) {
  const simple = (x: ArrayLike<number>, shape: Shape, work: (tape: Tape, rows: Rows, crf: Crf) => Loss) =>
    measure(build, { x: Float32Array.from(x) }, shape, work);

  test(`${build}: the loss is what the sum over all paths, or over all labellings, gives`, () => {
    for (const [T, C, blank, scale] of TINY) {
      const x = uniform(random(10 * T + C), T * C, scale);
      const all = [...ctcReference.labellings(x, T, C, blank)];
      const losses = on(build, { x }, { T, B: 1, F: C }, (tape, rows) =>
        all.map(([key]) => {
          const target = key ? key.split(',').map(Number) : [];
          return ctcLoss(tape, rows, [target], { blank, reduction: 'sum' }).value;
        }),
      );
      const want = all.map(([, p]) => -Math.log(p));
      close(losses, want, 1e-6, `ctc T=${T} C=${C}`);
    }
    for (const [T, K, scale] of TINY_CRF) {
      const shape = { T, B: 1, F: K };
      const { inputs, tags } = crfInputs(T * K, { ...shape, scale });
      const all = crfReference.labellings(inputs, T, K);
      const sum = Math.log(all.reduce((total, { score }) => total + Math.exp(score), 0));
      const own = all.find((l) => l.tags.join() === tags.join())?.score ?? Number.NaN;
      const loss = on(build, inputs, shape, (tape, rows, crf) => crf.loss(tape, rows, tags).value);
      close([loss], [sum - own], 1e-6, `crf T=${T} K=${K}`);
    }
  });

  test(`${build}: steps past the end have no effect, and their gradient is zero`, () => {
    const [T, B, F, lengths] = [6, 2, 5, [6, 3]];
    const x = uniform(random(1), T * B * F);
    const tags = Array.from({ length: T * B }, (_, r) => (r % B && r >= 3 * B ? -7 : r % F));
    const losses = {
      ctc: (tape: Tape, rows: Rows) => ctcLoss(tape, rows, [[1, 2], [3]], { reduction: 'sum' }),
      crf: (tape: Tape, rows: Rows, crf: Crf) => crf.loss(tape, rows, tags, { reduction: 'sum' }),
    };
    for (const loss of Object.values(losses)) {
      const { gradients } = simple(x, { T, B, F, lengths }, loss);
      for (let r = 0; r < T * B; r++) {
        const row = gradients.x.subarray(r * F, (r + 1) * F);
        is(
          row.every((d) => d === 0),
          r >= lengths[r % B] * B,
        );
      }
    }
  });

  test(`${build}: a sequence's gradient has the same bits alone and in a batch`, () => {
    const [T, B, F, lengths] = [12, 3, 6, [7, 12, 9]];
    const x = uniform(random(3), T * B * F, 3);
    const targets = [[1, 1, 2], [], [5, 4, 5]];
    const tags = Array.from({ length: T * B }, (_, r) => (r * 5) % F);
    const batch = simple(x, { T, B, F, lengths }, (tape, rows) => ctcLoss(tape, rows, targets, { reduction: 'sum' }));
    const tagged = simple(x, { T, B, F, lengths }, (tape, rows, crf) =>
      crf.loss(tape, rows, tags, { reduction: 'sum' }),
    );
    lengths.forEach((steps, b) => {
      const pick = (from: ArrayLike<number>, n: number) =>
        Float32Array.from({ length: steps * n }, (_, i) => from[(Math.floor(i / n) * B + b) * n + (i % n)]);
      const shape = { T: steps, B: 1, F };
      const alone = simple(pick(x, F), shape, (tape, rows) => ctcLoss(tape, rows, [targets[b]], { reduction: 'sum' }));
      equal(pick(batch.gradients.x, F), alone.gradients.x);
      const own = simple(pick(x, F), shape, (tape, rows, crf) => crf.loss(tape, rows, pick(tags, 1)));
      equal(pick(tagged.gradients.x, F), own.gradients.x);
    });
  });

  test(`${build}: a loss counts by its weight`, () => {
    const [T, B, F] = [5, 2, 4];
    const x = uniform(random(2), T * B * F);
    const gradient = (weights: readonly number[]) => {
      const { runtime, check } = guarded(build);
      const model = new Model(runtime, 5, (b) => new Crf(b, 'crf', { numClasses: F }));
      let found: Gradient | undefined;
      model.valueAndGrad((tape, crf) => {
        const rows = input(tape, x, { T, B, F }, { gradient: true });
        found = gradientOf(tape, rows);
        const losses = [ctcLoss(tape, rows, [[1], [2, 2]]), crf.loss(tape, rows, new Uint8Array(T * B))];
        return losses.map((loss, i) => ({ loss, weight: weights[i] }));
      });
      check();
      runtime.dispose();
      return found?.values ?? new Float32Array();
    };
    const [a, b, both] = [gradient([1, 0]), gradient([0, 1]), gradient([2, 0.5])];
    close(
      both,
      a.map((v, i) => 2 * v + 0.5 * b[i]),
      1e-6,
      'weights 2 and 0.5',
    );
  });

  test(`${build}: numbers that want no gradient get none, the crf's own parameters theirs`, () => {
    const [T, B, F] = [4, 2, 3];
    const x = uniform(random(5), T * B * F);
    const transitions = (gradient: boolean) => {
      const { runtime, check } = guarded(build);
      const model = new Model(runtime, 5, (b) => new Crf(b, 'crf', { numClasses: F }));
      model.valueAndGrad((tape, crf) => {
        const rows = input(tape, x, { T, B, F }, { gradient });
        const losses = [ctcLoss(tape, rows, [[1], []]), crf.loss(tape, rows, new Uint8Array(T * B))];
        return losses.map((loss) => ({ loss, weight: 1 }));
      });
      check();
      const found = model.gradient('crf.transitions');
      runtime.dispose();
      ok(found.some((v) => v !== 0));
      return found;
    };
    equal(transitions(false), transitions(true));
  });

  test(`${build}: what is forbidden has zero gradient, by -1e4 as by -∞, and no best path takes it`, () => {
    const [T, B, K] = [30, 2, 5];
    for (const forbidden of [-1e4, -Infinity]) {
      const { inputs, tags } = crfInputs(11, { T, B, F: K, scale: 2 });
      // labels come in order: from i to i or i + 1 only, from 0 on
      for (let i = 0; i < K * K; i++)
        if (![0, 1].includes((i % K) - Math.floor(i / K))) inputs['crf.transitions'][i] = forbidden;
      inputs['crf.start_transitions'].fill(forbidden, 1);
      for (let r = 0; r < T * B; r++) tags[r] = Math.min(K - 1, Math.floor(r / B / 3));
      const { outputs, gradients } = measure(build, inputs, { T, B, F: K }, (tape, rows, crf) =>
        crf.loss(tape, rows, tags),
      );
      ok(outputs.loss[0] > 0 && outputs.loss[0] < 1000);
      for (const [name, values] of Object.entries(inputs)) {
        ok(gradients[name].every(Number.isFinite), name);
        values.forEach((v, i) => {
          if (v === forbidden) is(gradients[name][i], 0);
        });
      }
      const decoded = on(build, inputs, { T, B, F: K }, (tape, rows, crf) => crf.decode(tape, rows));
      for (const path of decoded.tags) {
        path.forEach((tag, t) => {
          ok(t === 0 ? tag === 0 : tag === path[t - 1] || tag === path[t - 1] + 1);
        });
      }
    }
  });

  test(`${build}: what cannot be has an infinite loss, what is not a number none`, () => {
    const shape = { T: 2, B: 1, F: 3 };
    const value = (x: number[], target: number[]) =>
      on(build, { x: Float32Array.from(x) }, shape, (tape, rows) => ctcLoss(tape, rows, [target]).value);
    is(value([0, -Infinity, 0, 0, -Infinity, 0], [1]), Infinity);
    close([value([0, -Infinity, 0, 0, -Infinity, 0], [2])], [-Math.log(3 / 4)], 1e-6, 'two of three classes');
    ok(Number.isNaN(value([0, Number.NaN, 0, 0, 0, 0], [2])));
    const crf = (start: number, x: number) =>
      on(
        build,
        { x: Float32Array.of(0, x, 0, 0, 0, 0), 'crf.start_transitions': Float32Array.of(start, 0, 0) },
        shape,
        (tape, rows, layer) => layer.loss(tape, rows, [0, 0]).value,
      );
    is(crf(-Infinity, 0), Infinity);
    ok(Number.isNaN(crf(0, Number.NaN)));
  });
}

for (const build of builds) {
  test(`${build}: 'none' gives the losses of the sequences, those of batches of one`, () => {
    const [T, B, F] = [5, 3, 4];
    const lengths = [5, 3, 4];
    const x = uniform(random(77), T * B * F, 2);
    const targets = [[1, 2], [3], []];
    const tags = Array.from({ length: T * B }, (_, i) => (i * 7) % F);
    const [ctc, crf] = on(build, { x }, { T, B, F, lengths }, (tape, rows, layer) => [
      ctcLoss(tape, rows, targets, { reduction: 'none' }),
      layer.loss(tape, rows, tags, { reduction: 'none' }),
    ]);
    const alone = lengths.map((steps, b) => {
      const own = Float32Array.from({ length: steps * F }, (_, i) => x[(Math.floor(i / F) * B + b) * F + (i % F)]);
      return on(build, { x: own }, { T: steps, B: 1, F }, (tape, rows, layer) => [
        ctcLoss(tape, rows, [targets[b]], { reduction: 'sum' }).value,
        layer.loss(
          tape,
          rows,
          Array.from({ length: steps }, (_, t) => tags[t * B + b]),
        ).value,
      ]);
    });
    equal(
      ctc.values,
      Float32Array.from(alone, ([value]) => value),
    );
    equal(
      crf.values,
      Float32Array.from(alone, ([, value]) => value),
    );
    close(
      [ctc.value, crf.value],
      [0, 1].map((k) => alone.reduce((sum, one) => sum + one[k], 0)),
      1e-12,
      'sums',
    );
  });

  test(`${build}: zeroInfinity: labels that do not fit have no loss and no gradient`, () => {
    const [T, B, F] = [3, 3, 3];
    const x = uniform(random(78), T * B * F, 2);
    const targets = [[1, 1, 1], [2], [1, 2, 1, 2]];
    const measured = (reduction: 'mean' | 'sum', own: number[][], zeroInfinity: boolean) =>
      measure(build, { x }, { T, B, F }, (tape, rows) => ctcLoss(tape, rows, own, { reduction, zeroInfinity }));
    for (const reduction of ['mean', 'sum'] as const) {
      const { outputs, gradients } = measured(reduction, targets, true);
      // the sequence that fits, among two whose losses are subtracted
      const fits = measured(reduction, [[], [2], []], false);
      const others = measured(reduction, [[], [], []], false);
      ok(Number.isFinite(outputs.loss[0]) && outputs.loss[0] > 0);
      const live = (i: number) => Math.floor(i / F) % B === 1;
      equal(
        gradients.x,
        fits.gradients.x.map((v, i) => (live(i) ? v : 0)),
      );
      ok(others.gradients.x.some((v, i) => !live(i) && v !== 0));
    }
    const { values } = on(build, { x }, { T, B, F }, (tape, rows) =>
      ctcLoss(tape, rows, targets, { reduction: 'none', zeroInfinity: true }),
    );
    equal([values[0], values[2]], [0, 0]);
    ok(values[1] > 0);
  });
}

test('ctc says what is wrong with its arguments, and where', () => {
  const [T, B, F, lengths] = [4, 2, 3, [4, 3]];
  const x = new Float32Array(T * B * F);
  const fails = (targets: unknown, options: unknown, message: RegExp, kind: typeof Error) => {
    const call = () =>
      on('simd', { x }, { T, B, F, lengths }, (tape, rows) =>
        ctcLoss(tape, rows, targets as number[][], options as CtcOptions),
      );
    throws(call, (error: unknown) => error instanceof kind && message.test(error.message));
  };
  const good = [[1], [2]];
  fails([[1]], {}, /^targets: expected 2 lists of labels, one per sequence, got 1$/, RangeError);
  fails([[1], 2], {}, /^targets\[1\]\.length: expected a whole number of at least 0, got undefined$/, TypeError);
  fails([[1], null], {}, /^targets\[1\]\.length: expected a whole number of at least 0, got undefined$/, TypeError);
  fails(
    [[1, 3], []],
    {},
    /^targets\[0\]\[1\]: expected a label from 0 to 2 other than the blank, 0, got 3$/,
    RangeError,
  );
  fails([[], [1, 0]], {}, /^targets\[1\]\[1\]: expected a label .* got 0$/, RangeError);
  fails([[], [-1]], {}, /^targets\[1\]\[0\]: expected a label .* got -1$/, RangeError);
  fails([[], [0.5]], {}, /^targets\[1\]\[0\]: expected a label .* got 0.5$/, RangeError);
  fails([[], ['a']], {}, /^targets\[1\]\[0\]: expected a label .* got 'a'$/, TypeError);
  fails(
    [[2], []],
    { blank: 2 },
    /^targets\[0\]\[0\]: expected a label from 0 to 2 other than the blank, 2, got 2$/,
    RangeError,
  );
  fails(
    [[], [1, 1, 2]],
    {},
    /^targets\[1\]: 3 labels, 1 of them equal to the one before, need 4 steps; the sequence has 3$/,
    RangeError,
  );
  fails([[1, 1, 1], []], {}, /^targets\[0\]: 3 labels, 2 of them .* need 5 steps; the sequence has 4$/, RangeError);
  fails(good, { blank: 3 }, /^blank: expected a whole number from 0 to 2, got 3$/, RangeError);
  fails(good, { blank: -1 }, /^blank: expected a whole number of at least 0, got -1$/, RangeError);
  fails(good, { reduction: 'all' }, /^reduction: expected 'mean' or 'sum' or 'none', got 'all'/, RangeError);
  fails(good, { zeroInfinity: 1 }, /^zeroInfinity: expected true or false, got 1$/, RangeError);
  fails(good, { upstream: [1, 1] }, /^upstream and reduction: 'mean' cannot be combined/, RangeError);
  fails(good, { reduction: 'none', upstream: [1] }, /^upstream: expected \[B=2\] = 2 numbers, got 1$/, RangeError);
  fails([[1, 1, 1, 9], []], { zeroInfinity: true }, /^targets\[0\]\[3\]: expected a label/, RangeError);
});

test('crf says what is wrong with its arguments, and where', () => {
  const [T, B, F, lengths] = [3, 2, 3, [3, 2]];
  const x = new Float32Array(T * B * F);
  const fails = (tags: unknown, options: unknown, message: RegExp, kind: typeof Error) => {
    const call = () =>
      on('simd', { x }, { T, B, F, lengths }, (tape, rows, crf) =>
        crf.loss(tape, rows, tags as number[], options as object),
      );
    throws(call, (error: unknown) => error instanceof kind && message.test(error.message));
  };
  const good = [0, 0, 0, 0, 0, 0];
  fails([0], {}, /^tags: expected \[T=3, B=2\] = 6 numbers, got 1$/, RangeError);
  fails([0, 0, 0, 3, 0, 0], {}, /^tags\[3\], step 1 of sequence 1: expected a label from 0 to 2, got 3$/, RangeError);
  fails([0, 0, -1, 0, 0, 9], {}, /^tags\[2\], step 1 of sequence 0: .* got -1$/, RangeError);
  fails([0.5, 0, 0, 0, 0, 9], {}, /^tags\[0\], step 0 of sequence 0: .* got 0.5$/, RangeError);
  fails(
    good,
    { reduction: 'token' },
    /^reduction: expected 'mean' or 'sum' or 'tokenMean' or 'none', got 'token'/,
    RangeError,
  );
  fails(good, { upstream: [1, 1] }, /^upstream and reduction: 'mean' cannot be combined/, RangeError);
  fails(
    good,
    { reduction: 'none', upstream: [1, NaN] },
    /^upstream\[1\]: expected a finite number, got NaN$/,
    RangeError,
  );
  fails(good, { average: true }, /^loss: unknown option 'average'/, TypeError);
  const wide = (work: (tape: Tape, rows: Rows, crf: Crf) => unknown) => () =>
    on('simd', { x }, { T, B, F }, (tape, _, crf) => work(tape, tape.rows(T, B, 4, false), crf));
  const message = /^emissions: expected 3 features, got 4$/;
  throws(
    wide((tape, rows, crf) => crf.loss(tape, rows, good)),
    message,
  );
  throws(
    wide((tape, rows, crf) => crf.decode(tape, rows)),
    message,
  );
});

test('a network learns where labels lie from their order alone, and a tagger which ones follow each other', () => {
  const runtime = Runtime.createSync();
  const [T, B, I] = [24, 2, 8];
  const x = uniform(random(4), T * B * I);
  const targets = [
    [1, 2, 2, 3],
    [3, 1],
  ];
  const tags = Int32Array.from({ length: T * B }, (_, r) => Math.floor(r / B) % 4);
  const model = new Model(runtime, 1, (b) => ({
    rnn: new Recurrent(b, 'rnn', { cell: 'gru', inputSize: I, hiddenSize: 16, bidirectional: true }),
    head: new Linear(b, 'head', { inputSize: 32, outputSize: 4 }),
    tagger: new Linear(b, 'tagger', { inputSize: 32, outputSize: 4 }),
    crf: new Crf(b, 'crf', { numClasses: 4 }),
  }));
  const optimizer = new Optimizer(model, { optimizer: 'adam', learningRate: 0.03 });
  const emissions = (tape: Tape, { rnn, head, tagger }: (typeof model)['layers']) => {
    const { output } = rnn.forward(tape, input(tape, x, { T, B, F: I }));
    return [head.forward(tape, output), tagger.forward(tape, output)];
  };
  let loss = Infinity;
  for (let step = 0; step < 150; step++) {
    loss = model.valueAndGrad((tape, layers) => {
      const [logits, scores] = emissions(tape, layers);
      return [ctcLoss(tape, logits, targets), layers.crf.loss(tape, scores, tags)].map((l) => ({ loss: l, weight: 1 }));
    });
    optimizer.step();
  }
  ok(loss < 0.1, `${loss}`);
  model.forward((tape, layers) => {
    const [logits, scores] = emissions(tape, layers);
    equal(ctcBestPath(tape, logits), targets);
    const { tags: found } = layers.crf.decode(tape, scores);
    for (let b = 0; b < B; b++)
      equal(
        found[b],
        tags.filter((_, r) => r % B === b),
      );
  });
  runtime.dispose();
});

test.run();
