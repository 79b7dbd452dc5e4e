/** Least squares against the reference in double precision, on memory that catches what goes out of bounds; and bad input. */
import { input, Model, slice } from 'gatewise';
import { LeastSquares } from 'gatewise/functions';
import { test } from 'uvu';
import { equal, is, ok, throws } from 'uvu/assert';
import { leastSquares, objective } from './reference/solve.js';
import { builds, guarded, runtime } from './support/builds.js';
import { close, random, uniform } from './support/numbers.js';

const doubles = (values: ArrayLike<number>) => Float64Array.from(values);

test('reference: its gradient, by central differences, is zero at its solution', () => {
  const next = random(1);
  const [R, N, M] = [20, 5, 3];
  const x = doubles(uniform(next, R * N));
  const y = doubles(uniform(next, R * M));
  const penalties = [0.5, 0.5, 2, 0, 0];
  const w = leastSquares(x, y, penalties);
  const h = 1e-4;
  w.forEach((own, i) => {
    const at = (value: number) => objective(x, y, w.with(i, value), penalties);
    const slope = (at(own + h) - at(own - h)) / (2 * h);
    ok(Math.abs(slope) < 1e-8, `${i}: ${slope}`);
  });
});

for (const build of builds) {
  for (const [T, B, N, M] of [
    [1, 9, 1, 1],
    [3, 5, 4, 4],
    [40, 4, 7, 2],
    [13, 20, 33, 5],
    [300, 1, 66, 1],
  ]) {
    for (const lambda of [0, 0.3]) {
      test(`${build}: ${T}×${B} rows, ${N} → ${M}, λ=${lambda}`, () => {
        const { runtime: r, check } = guarded(build);
        const model = new Model(r, 0, () => null);
        const next = random(N + M);
        const x = uniform(next, T * B * N);
        const y = uniform(next, T * B * M);
        const squares = new LeastSquares(r, N, M);
        // in two parts, where there are steps for it
        model.forward((tape) => {
          const [a, b] = [input(tape, x, { T, B, F: N }), input(tape, y, { T, B, F: M })];
          const cut = Math.floor(T / 3);
          if (cut) squares.add(tape, slice(tape, a, 0, cut), slice(tape, b, 0, cut));
          squares.add(tape, slice(tape, a, cut, T), slice(tape, b, cut, T));
        });
        is(squares.rows, T * B);
        const penalties = Array.from({ length: N }, (_, n) => (n < N - 1 ? lambda : 0));
        const got = squares.solve(lambda, N - 1);
        close(got, leastSquares(doubles(x), doubles(y), penalties), 1e-11, 'weights');
        // the sums are still there
        equal(squares.solve(lambda, N - 1), got);
        const some = Math.ceil(N / 2);
        const part = x.filter((_, i) => i % N < some);
        const fewer = leastSquares(doubles(part), doubles(y), new Array(some).fill(lambda));
        close(squares.solve(lambda, N, some), fewer, 1e-11, `the first ${some} features`);
        check();
        squares.dispose();
        r.dispose();
      });
    }
  }

  test(`${build}: what is past the end of a sequence is left out`, () => {
    const { runtime: r, check } = guarded(build);
    const model = new Model(r, 0, () => null);
    const next = random(5);
    const [T, B, N, M, lengths] = [6, 3, 3, 2, [6, 2, 4]];
    const [x, y] = [uniform(next, T * B * N), uniform(next, T * B * M)];
    const squares = new LeastSquares(r, N, M);
    model.forward((tape) => {
      squares.add(tape, input(tape, x, { T, B, F: N, lengths }), input(tape, y, { T, B, F: M }));
    });
    is(squares.rows, 12);
    const inside = (F: number) => (_: number, i: number) => Math.floor(i / F / B) < lengths[Math.floor(i / F) % B];
    const want = leastSquares(doubles(x.filter(inside(N))), doubles(y.filter(inside(M))), [0, 0, 0]);
    close(squares.solve(), want, 1e-12, 'weights');
    check();
    r.dispose();
  });
}

test('a feature that depends on others is refused, and solved with a λ', () => {
  const r = runtime('simd');
  const model = new Model(r, 0, () => null);
  const squares = new LeastSquares(r, 3, 1);
  model.forward((tape) => {
    const x = input(tape, [1, 2, 3, 4, 1, 5, 0, 3, 3, 2, 2, 4], { T: 4, B: 1, F: 3 }); // the third is the sum of the others
    squares.add(tape, x, input(tape, [1, 2, 3, 4], { T: 4, B: 1, F: 1 }));
  });
  throws(() => squares.solve(), /^lambda: feature 2 depends linearly on those before it.* more than 0$/);
  const w = squares.solve(1e-3);
  ok(w.every(Number.isFinite));
  is(squares.solve(0, 3, 2).length, 2);
  squares.dispose();
  throws(() => squares.solve(), /these sums have been disposed/);
  squares.dispose();
  r.dispose();
});

test('bad input: each with its message', () => {
  const r = runtime('simd');
  const model = new Model(r, 0, () => null);
  throws(() => new LeastSquares(r, 0, 1), /^inputs: expected a positive whole number, got 0/);
  throws(() => new LeastSquares(r, 1, 1.5), /^outputs: expected a positive whole number, got 1\.5/);
  const before = r.memory().bytesInUse;
  const squares = new LeastSquares(r, 2, 1);
  model.forward((tape) => {
    const rows = (T: number, F: number) => input(tape, new Float32Array(T * F), { T, B: 1, F });
    throws(() => squares.add(tape, rows(2, 3), rows(2, 1)), /^x: expected 2 features, got 3/);
    throws(() => squares.add(tape, rows(2, 2), rows(2, 2)), /^y: expected 1 features, got 2/);
    throws(() => squares.add(tape, rows(2, 2), rows(3, 1)), /^y: expected T=2 steps of B=1 sequences, got T=3, B=1/);
  });
  throws(() => squares.solve(-1), /^lambda: expected a finite number of at least 0, got -1/);
  throws(() => squares.solve(0, 3), /^penalised: expected a whole number from 0 to 2, got 3/);
  throws(() => squares.solve(0, 2, 0), /^features: expected a whole number from 1 to 2, got 0/);
  is(squares.rows, 0);
  squares.dispose();
  is(r.memory().bytesInUse, before);
  r.dispose();
});

test.run();
