/** The linear recurrent unit: its numbers against double precision, its start, and long sequences. */
import { input, Model, Recurrent, read } from 'gatewise';
import { test } from 'uvu';
import { equal, ok } from 'uvu/assert';
import { builds, runtime } from './support/builds.js';
import { close } from './support/numbers.js';

for (const build of builds) {
  /** λ and γ of pairs (ν, θ). */
  const numbers = (pairs: Float32Array) => {
    const r = runtime(build);
    const { length: H } = pairs;
    const ld = 64 * Math.ceil(H / 16);
    return r.scope(() => {
      const at = r.takeZeroed(4 * ld);
      r.write(at, pairs);
      r.core.lruRows(at, ld, H);
      const [re, im, gamma] = [1, 2, 3].map((row) => r.read(at + row * ld, H).slice());
      return { re, im, gamma };
    });
  };

  test(`${build}: λ is that of double precision to 5e-7, γ to six digits, up to angles of 3000`, () => {
    for (let nu = -16; nu <= 3; nu += 0.37) {
      const theta = Float32Array.from({ length: 400 }, (_, i) => Math.fround(-10 + (18 * i) / 399));
      const pairs = Float32Array.from({ length: 800 }, (_, i) => (i % 2 ? theta[i >> 1] : nu));
      const { re, im, gamma } = numbers(pairs);
      const r = Math.exp(pairs[0]);
      for (let k = 0; k < 400; k++) {
        // an angle is a float: half a unit of its last place is lost before anything is computed
        const phase = Math.exp(theta[k]);
        const bound = 5e-7 + 2.4e-7 * phase;
        const [x, y] = [Math.exp(-r) * Math.cos(phase), Math.exp(-r) * Math.sin(phase)];
        ok(Math.abs(re[2 * k] - x) <= bound, `ν ${pairs[0]}, θ ${theta[k]}: Re λ ${re[2 * k]}, expected ${x}`);
        ok(Math.abs(im[2 * k + 1] - y) <= bound, `ν ${pairs[0]}, θ ${theta[k]}: Im λ ${im[2 * k + 1]}, expected ${y}`);
        const g = Math.sqrt(-Math.expm1(-2 * r));
        ok(Math.abs(gamma[2 * k] - g) <= 1e-6 * g, `ν ${pairs[0]}: γ ${gamma[2 * k]}, expected ${g}`);
        equal([re[2 * k + 1], im[2 * k], gamma[2 * k + 1]], [re[2 * k], -im[2 * k + 1], gamma[2 * k]]);
      }
    }
  });

  test(`${build}: |λ| is never above one, whatever the parameters`, () => {
    const pairs = Float32Array.from([-60, 80, -30, 20, 50, 3, 88, -80, -87, 60.5, 0, 12.3].flatMap((v) => [v, v / 2]));
    const { re, im, gamma } = numbers(pairs);
    for (let j = 0; j < pairs.length; j += 2) {
      ok(Math.hypot(re[j], im[j + 1]) <= 1 + 1e-6, `|λ| of ν ${pairs[j]}, θ ${pairs[j + 1]}`);
      ok(gamma[j] >= 0 && gamma[j] <= 1, `γ of ν ${pairs[j]}`);
    }
  });

  test(`${build}: an impulse turns and fades as powers of λ, over 2000 steps`, () => {
    const [T, H] = [2000, 16];
    const options = { cell: 'lru', inputSize: 1, hiddenSize: H, bias: false } as const;
    const model = new Model(runtime(build), 5, (b) => new Recurrent(b, 'rnn', options));
    // C picks the real parts, D is zero
    model.set(
      'rnn.weight_hr_l0',
      Float32Array.from({ length: H * H }, (_, i) => (i % (H + 1) === 0 ? 1 : 0)),
    );
    const wih = model.get('rnn.weight_ih_l0').fill(0, H);
    model.set('rnn.weight_ih_l0', wih);
    const lambda = Float32Array.from({ length: H }, (_, i) => (i % 2 ? 0.1 * i - 1 : -9 + i / 3));
    model.set('rnn.lambda_l0', lambda);
    const y = model.forward((tape, rnn) => {
      const x = input(tape, Float32Array.of(1, ...new Float32Array(T - 1)), { T, B: 1, F: 1 });
      return read(tape, rnn.forward(tape, x).output);
    });
    const want = new Float64Array(T * H);
    for (let k = 0; k < H; k += 2) {
      const [r, phase] = [Math.exp(lambda[k]), Math.exp(lambda[k + 1])];
      const gamma = Math.sqrt(-Math.expm1(-2 * r));
      const start = Math.atan2(wih[k + 1], wih[k]);
      const size = gamma * Math.hypot(wih[k], wih[k + 1]);
      for (let t = 0; t < T; t++) {
        const turned = start + t * phase;
        want[t * H + k] = size * Math.exp(-r * t) * Math.cos(turned);
        want[t * H + k + 1] = size * Math.exp(-r * t) * Math.sin(turned);
      }
    }
    // the angle of λ is right to half a unit of the last place, two thousand times
    close(y, want, 3e-4, 'outputs');
  });
}

test('λ starts uniform in the unit circle', () => {
  const H = 20000;
  const model = new Model(
    runtime('simd'),
    3,
    (b) => new Recurrent(b, 'rnn', { cell: 'lru', inputSize: 1, hiddenSize: H }),
  );
  const lambda = model.get('rnn.lambda_l0');
  let [inner, upper, right, x2] = [0, 0, 0, 0];
  for (let j = 0; j < H; j += 2) {
    const [r, phase] = [Math.exp(-Math.exp(lambda[j])), Math.exp(lambda[j + 1])];
    ok(r > 0 && r < 1 && phase > 0 && phase < 2 * Math.PI + 1e-5);
    if (r < Math.SQRT1_2) inner++;
    if (phase < Math.PI) upper++;
    if (Math.cos(phase) > 0) right++;
    x2 += (r * Math.cos(phase)) ** 2;
  }
  const N = H / 2;
  for (const [name, share] of Object.entries({ inner: inner / N, upper: upper / N, right: right / N }))
    ok(Math.abs(share - 0.5) < 0.02, `${name}: ${share}`);
  // the mean square of a coordinate in the unit circle
  ok(Math.abs(x2 / N - 0.25) < 0.01, `${x2 / N}`);
});

test('the same seed starts with the same numbers, another with others', () => {
  const start = (seed: number) => {
    const options = { cell: 'lru', inputSize: 2, hiddenSize: 6 } as const;
    return [...new Model(runtime('simd'), seed, (b) => new Recurrent(b, 'rnn', options)).get('rnn.lambda_l0')];
  };
  equal(start(1), start(1));
  ok(start(1).join() !== start(2).join());
});

test.run();
