/** exp, sigmoid, tanh, log, log1p against double precision: a dense sweep over the bits of all floats, and the special values. */

import { test } from 'uvu';
import { equal, is, ok } from 'uvu/assert';
import { type Accuracy, type FunctionName, functions, sweep } from '../bench/functions.js';
import { builds, runtime } from './support/builds.js';

const STRIDE = 1009;
const BOUNDS: Record<FunctionName, number> = { exp: 1.5, sigmoid: 2.5, tanh: 3, log: 2, log1p: 3 };

type Kernel = (typeof functions)[FunctionName]['kernel'];

for (const build of builds) {
  const r = runtime(build);
  const evaluate = (kernel: Kernel, x: Float32Array) =>
    r.scope(() => {
      const at = r.take(4 * x.length);
      r.write(at, x);
      r.core[kernel](at, at, x.length);
      return r.read(at, x.length);
    });

  for (const [name, bound] of Object.entries(BOUNDS) as [FunctionName, number][]) {
    const { exact, kernel } = functions[name];
    let got: Accuracy;
    test(`${build}: ${name} is within ${bound} ulp wherever the exact result is a normal float`, () => {
      got = sweep((x) => evaluate(kernel, x), exact, STRIDE);
      console.log(
        `  ${build} ${name}: ${got.ulp.toFixed(2)} ulp at ${got.at}, ${got.points} points; elsewhere within ${got.absolute}`,
      );
      ok(got.ulp <= bound, `${got.ulp} ulp at ${got.at}`);
      ok(got.points > 1e6 / 2);
    });
    test(`${build}: ${name} is NaN or infinite exactly where it should be`, () => equal(got.wrong, []));
    test(`${build}: ${name} is within 1.2e-38 where the exact result is denormal or zero`, () =>
      ok(got.absolute <= 1.2e-38));
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
