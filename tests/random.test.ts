/** The random generator: known answers, distributions, and that blocks are all there is to its state. */
import { test } from 'uvu';
import { equal, is, ok } from 'uvu/assert';
import { builds, runtime } from './support/builds.js';

for (const build of builds) {
  const r = runtime(build);
  const floats = (n: number, fill: (at: number) => void) =>
    r.scope(() => {
      const at = r.take(4 * n);
      fill(at);
      return r.read(at, n);
    });

  test(`${build}: philox gives the known answers of Random123`, () => {
    const answers: [number[], string][] = [
      [[0, 0, 0, 0, 0, 0], '6627e8d5 e169c58d bc57ac4c 9b00dbd8'],
      [[-1, -1, -1, -1, -1, -1], '408f276d 41c83b0e a20bc7c6 6d5451fd'],
      [[0xa4093822, 0x299f31d0, 0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344], 'd16cfe09 94fdcceb 5001e420 24126ea1'],
    ];
    for (const [words, want] of answers) {
      const at = r.core.philox(...(words as [number, number, number, number, number, number]));
      const got = Array.from(r.i32.subarray(at >> 2, (at >> 2) + 4), (w) => (w >>> 0).toString(16).padStart(8, '0'));
      is(got.join(' '), want);
    }
  });

  test(`${build}: uniform numbers fill their range evenly and stay in it`, () => {
    const n = 40000;
    const x = floats(n, (at) => r.core.fillUniform(at, n, -3, 5, 7, 0, 0));
    ok(x.every((v) => v >= -3 && v < 5));
    const bins = new Array(8).fill(0);
    for (const v of x) bins[Math.floor(v + 3)]++;
    // 5000 expected in each, standard deviation 66
    for (const count of bins) ok(Math.abs(count - n / 8) < 300, `${bins}`);
  });

  test(`${build}: normal numbers have their mean, deviation and tails`, () => {
    const n = 40001;
    const x = floats(n, (at) => r.core.fillNormal(at, n, 2, 3, 7, 0, 0));
    const mean = x.reduce((s, v) => s + v, 0) / n;
    const deviation = Math.sqrt(x.reduce((s, v) => s + (v - mean) ** 2, 0) / n);
    ok(Math.abs(mean - 2) < 0.06, `mean ${mean}`);
    ok(Math.abs(deviation - 3) < 0.05, `deviation ${deviation}`);
    const beyond = x.filter((v) => Math.abs(v - 2) > 6).length / n;
    ok(Math.abs(beyond - 0.0455) < 0.004, `${beyond} beyond two deviations`);
  });

  test(`${build}: a permutation has every number once, and every place is as likely`, () => {
    const n = 10;
    const counts = new Array(n).fill(0);
    r.scope(() => {
      const at = r.take(4 * n);
      for (let block = 0, i = 0; i < 2000; i++) {
        block = r.core.fillPermutation(at, n, 1, 1, block);
        const p = [...r.i32.subarray(at >> 2, (at >> 2) + n)];
        equal(
          [...p].sort((a, b) => a - b),
          [...Array(n).keys()],
        );
        counts[p.indexOf(0)]++;
      }
    });
    for (const count of counts) ok(Math.abs(count - 200) < 60, `${counts}`);
  });

  test(`${build}: the next block continues where the last stopped; seeds, streams and blocks differ`, () => {
    const whole = floats(16, (at) => r.core.fillUniform(at, 16, 0, 1, 5, 2, 0));
    const halves = floats(16, (at) => {
      const block = r.core.fillUniform(at, 8, 0, 1, 5, 2, 0);
      is(block, 2);
      r.core.fillUniform(at + 32, 8, 0, 1, 5, 2, block);
    });
    equal(whole, halves);
    const others = [
      [6, 2, 0],
      [5 + 2 ** 32, 2, 0],
      [5, 3, 0],
      [5, 2, 2 ** 33],
    ].map(([seed, stream, block]) => floats(16, (at) => r.core.fillUniform(at, 16, 0, 1, seed, stream, block)));
    for (const other of others) ok(other.every((v, i) => v !== whole[i]));
  });
}

test.run();
