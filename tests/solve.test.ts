/** Least squares, at once and row by row, against the reference in double precision, on memory that catches what goes out of bounds; and bad input. */
import { input, Model, NonFiniteError, read, slice } from 'gatewise';
import { LeastSquares, RecursiveLeastSquares } from 'gatewise/functions';
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

/** Rows of x and y as they count after the last of them, a row at a time √μ less. */
function faded(values: ArrayLike<number>, F: number, mu: number): Float64Array {
  const R = values.length / F;
  return Float64Array.from(values, (v, i) => v * mu ** ((R - 1 - Math.floor(i / F)) / 2));
}

for (const build of builds) {
  for (const [T, B, N, M] of [
    [1, 1, 1, 1],
    [9, 1, 3, 1],
    [4, 5, 7, 2],
    [60, 3, 33, 5],
  ]) {
    for (const forgetting of [1, 0.97]) {
      test(`${build}: row by row, ${T}×${B} rows, ${N} → ${M}, μ=${forgetting}: the reference to 1e-9`, () => {
        const { runtime: r, check } = guarded(build);
        const model = new Model(r, 0, () => null);
        const next = random(N + M);
        const [x, y] = [uniform(next, T * B * N), uniform(next, T * B * M)];
        const ridge = 0.3;
        const squares = new RecursiveLeastSquares(r, N, M, { ridge, forgetting });
        const outputs: number[] = [];
        const cut = Math.floor(T / 3);
        model.forward((tape) => {
          const [a, b] = [input(tape, x, { T, B, F: N }), input(tape, y, { T, B, F: M })];
          for (const [from, to] of [
            [0, cut],
            [cut, T],
          ]) {
            if (to > from)
              outputs.push(...read(tape, squares.update(tape, slice(tape, a, from, to), slice(tape, b, from, to))));
          }
        });
        is(squares.rows, T * B);
        // the weights after R rows: the reference over them, and those before each row predict it
        const after = (R: number) => {
          const penalties = new Array<number>(N).fill(ridge * forgetting ** R);
          return leastSquares(
            faded(x.subarray(0, R * N), N, forgetting),
            faded(y.subarray(0, R * M), M, forgetting),
            penalties,
          );
        };
        // the reference counts the last row once; so does the sum of the formula
        close(squares.weights, after(T * B), 1e-9, 'weights');
        const R = T * B;
        const before = R > 1 ? after(R - 1) : new Float64Array(N * M);
        const want = Array.from({ length: M }, (_, m) => {
          let sum = 0;
          for (let n = 0; n < N; n++) sum += before[n * M + m] * x[(R - 1) * N + n];
          return sum;
        });
        ok(
          outputs.slice(-M).every((v, m) => Math.abs(v - want[m]) < 1e-6),
          `${outputs.slice(-M)}, not ${want}`,
        );
        if (forgetting === 1) {
          const all = new LeastSquares(r, N, M);
          model.forward((tape) => {
            all.add(tape, input(tape, x, { T, B, F: N }), input(tape, y, { T, B, F: M }));
          });
          close(squares.weights, all.solve(ridge), 1e-9, 'ridge regression');
        }
        check();
        squares.dispose();
        r.dispose();
      });
    }
  }

  test(`${build}: row by row, what is past the end of a sequence is left out, and W₀ is where it starts`, () => {
    const { runtime: r, check } = guarded(build);
    const model = new Model(r, 0, () => null);
    const next = random(5);
    const [T, B, N, M, lengths, ridge] = [6, 3, 3, 2, [6, 2, 4], 0.2];
    const [x, y, start] = [uniform(next, T * B * N), uniform(next, T * B * M), uniform(next, N * M)];
    const squares = new RecursiveLeastSquares(r, N, M, { ridge });
    squares.weights = start;
    model.forward((tape) => {
      squares.update(tape, input(tape, x, { T, B, F: N, lengths }), input(tape, y, { T, B, F: M }));
    });
    is(squares.rows, 12);
    const inside = (F: number) => (_: number, i: number) => Math.floor(i / F / B) < lengths[Math.floor(i / F) % B];
    const [rows, wanted] = [doubles(x.filter(inside(N))), doubles(y.filter(inside(M)))];
    // what is left of y once W₀ has been taken from it
    const rest = wanted.map((v, i) => {
      for (let n = 0; n < N; n++) v -= rows[Math.floor(i / M) * N + n] * start[n * M + (i % M)];
      return v;
    });
    const want = leastSquares(rows, rest, new Array(N).fill(ridge)).map((v, i) => v + start[i]);
    close(squares.weights, want, 1e-11, 'weights');
    check();
    r.dispose();
  });
}

test('row by row: a result that is not finite is refused, and the weights are those before it', () => {
  const r = runtime('simd');
  const model = new Model(r, 0, () => null);
  const squares = new RecursiveLeastSquares(r, 2, 1, { ridge: 1, forgetting: 1e-3 });
  let [learned, caught]: [number, unknown] = [0, undefined];
  try {
    for (; learned < 300; learned++) {
      model.forward((tape) => {
        const y = input(tape, [1], { T: 1, B: 1, F: 1 });
        // the second feature is zero, so that its part of P grows a thousand times at each row
        squares.update(tape, input(tape, [1, learned < 150 ? 0 : 1], { T: 1, B: 1, F: 2 }), y);
      });
    }
  } catch (error) {
    caught = error;
  }
  ok(caught instanceof NonFiniteError, String(caught));
  is(squares.rows, learned);
  ok(caught.message.includes(`row ${learned + 1} `), caught.message);
  ok(squares.weights.every(Number.isFinite));
  ok(Math.abs(squares.weights[0] - 1) < 1e-6);
  r.dispose();
});

test('row by row: bad input, each with its message', () => {
  const r = runtime('simd');
  const model = new Model(r, 0, () => null);
  throws(() => new RecursiveLeastSquares(r, 0, 1), /^inputs: expected a positive whole number, got 0/);
  throws(() => new RecursiveLeastSquares(r, 1, 1, { ridge: 0 }), /^ridge: .*got 0/);
  throws(() => new RecursiveLeastSquares(r, 1, 1, { forgetting: 0 }), /^forgetting: .*got 0/);
  throws(() => new RecursiveLeastSquares(r, 1, 1, { forgetting: 1.1 }), /^forgetting: .*got 1\.1/);
  throws(() => new RecursiveLeastSquares(r, 1, 1, { forget: 1 } as never), /did you mean 'forgetting'/);
  const before = r.memory().bytesInUse;
  const squares = new RecursiveLeastSquares(r, 2, 1);
  model.forward((tape) => {
    const rows = (T: number, F: number) => input(tape, new Float32Array(T * F), { T, B: 1, F });
    throws(() => squares.update(tape, rows(2, 3), rows(2, 1)), /^x: expected 2 features, got 3/);
    throws(() => squares.update(tape, rows(2, 2), rows(2, 2)), /^y: expected 1 features, got 2/);
    throws(() => squares.update(tape, rows(2, 2), rows(3, 1)), /^y: expected T=2 steps of B=1 sequences, got T=3, B=1/);
  });
  throws(() => {
    squares.weights = [1];
  }, /^weights: expected \[N=2,M=1\] = 2 numbers, got 1/);
  throws(() => {
    squares.weights = [1, Number.NaN];
  }, /^weights\[1\]: expected a finite number/);
  is(squares.rows, 0);
  squares.dispose();
  throws(() => squares.weights, /these weights have been disposed/);
  squares.dispose();
  is(r.memory().bytesInUse, before);
  r.dispose();
});

test.run();
