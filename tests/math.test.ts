/** exp, sigmoid, tanh, log, log1p against double precision: a dense sweep over the bits of all floats, and the special values. */

import { test } from 'uvu';
import { is, ok } from 'uvu/assert';
import { builds, runtime } from './support/builds.js';

const MIN_NORMAL = 2 ** -126;
const STRIDE = 1009;
const CHUNK = 1 << 16;

const functions = {
  exp: { f: Math.exp, ulps: 1.5, kernel: 'expArray' },
  sigmoid: { f: (x: number) => 1 / (1 + Math.exp(-x)), ulps: 2.5, kernel: 'sigmoidArray' },
  tanh: { f: Math.tanh, ulps: 3, kernel: 'tanhArray' },
  log: { f: Math.log, ulps: 2, kernel: 'logArray' },
  log1p: { f: Math.log1p, ulps: 3, kernel: 'log1pArray' },
} as const;

type Kernel = (typeof functions)[keyof typeof functions]['kernel'];

/** Distance in units of the last place of the exact result. */
function ulps(got: number, want: number): number {
  const unit = 2 ** Math.max(Math.floor(Math.log2(Math.abs(want))) - 23, -149);
  return Math.abs(got - want) / unit;
}

for (const build of builds) {
  const r = runtime(build);
  const evaluate = (kernel: Kernel, x: Float32Array) =>
    r.scope(() => {
      const at = r.take(4 * x.length);
      r.write(at, x);
      r.core[kernel](at, at, x.length);
      return r.read(at, x.length);
    });

  for (const [name, { f, ulps: bound, kernel }] of Object.entries(functions)) {
    const bits = new Int32Array(CHUNK);
    const x = new Float32Array(bits.buffer);
    let worst = 0;
    let worstAt = 0;
    let absolute = 0;
    let points = 0;
    const sweep = () => {
      for (let next = 0; next < 2 ** 32; next += CHUNK * STRIDE) {
        for (let i = 0; i < CHUNK; i++) bits[i] = next + i * STRIDE;
        const y = evaluate(kernel, x);
        for (let i = 0; i < CHUNK; i++) {
          const want = f(x[i]);
          if (Number.isNaN(want)) ok(Number.isNaN(y[i]), `${name}(${x[i]}) is ${y[i]}`);
          // the float that a number in double precision rounds to is infinite from here on
          else if (Math.abs(want) >= 2 ** 128 - 2 ** 103) is(y[i], want > 0 ? Infinity : -Infinity, `${name}(${x[i]})`);
          else if (Math.abs(want) >= MIN_NORMAL) {
            const off = ulps(y[i], want);
            if (!(off <= worst)) [worst, worstAt] = [off, x[i]];
            points++;
          } else absolute = Math.max(absolute, Math.abs(y[i] - want));
        }
      }
    };
    test(`${build}: ${name} is within ${bound} ulp wherever the exact result is a normal float`, () => {
      sweep();
      console.log(
        `  ${build} ${name}: ${worst.toFixed(2)} ulp at ${worstAt}, ${points} points; elsewhere within ${absolute}`,
      );
      ok(worst <= bound, `${worst} ulp at ${worstAt}`);
      ok(points > 1e6 / 2);
    });
    test(`${build}: ${name} is within 1.2e-38 where the exact result is denormal or zero`, () =>
      ok(absolute <= 1.2e-38));
  }

  test(`${build}: values at the edges`, () => {
    const at = (kernel: Kernel, x: number) => evaluate(kernel, Float32Array.of(x, x, x, x))[1];
    const max = 2 ** 128 - 2 ** 104;
    is(at('expArray', 0), 1);
    is(at('expArray', -Infinity), 0);
    is(at('expArray', Infinity), Infinity);
    is(at('expArray', 88.73), Infinity);
    is(at('expArray', -200), 0);
    is(at('sigmoidArray', 0), 0.5);
    is(at('sigmoidArray', Infinity), 1);
    ok(at('sigmoidArray', -Infinity) < 1.2e-38);
    is(at('tanhArray', Infinity), 1);
    is(at('tanhArray', -Infinity), -1);
    is(at('tanhArray', max), 1);
    is(Math.abs(at('tanhArray', -0)), 0);
    is(at('logArray', 1), 0);
    is(at('logArray', 0), -Infinity);
    is(at('logArray', -0), -Infinity);
    is(at('logArray', Infinity), Infinity);
    is(at('log1pArray', 0), 0);
    is(at('log1pArray', -1), -Infinity);
    is(at('log1pArray', Infinity), Infinity);
    is(at('log1pArray', 1e-30), Math.fround(1e-30));
    for (const { kernel } of Object.values(functions)) {
      ok(Number.isNaN(at(kernel, Number.NaN)), kernel);
    }
    for (const x of [-1.5, -Infinity]) ok(Number.isNaN(at('log1pArray', x)), `log1p ${x}`);
    for (const x of [-1, -Infinity, -1e-45]) ok(Number.isNaN(at('logArray', x)), `log ${x}`);
  });
}

test.run();
