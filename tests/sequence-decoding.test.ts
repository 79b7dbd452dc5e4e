/** What CTC and the CRF decode: against all labellings there are in small cases, against the plain algorithms in larger ones. */
import { ctcBeamSearch, ctcBestPath } from 'gatewise';
import { test } from 'uvu';
import { equal, is, ok, throws } from 'uvu/assert';
import * as crfReference from './reference/crf.js';
import * as ctcReference from './reference/ctc.js';
import { builds } from './support/builds.js';
import { close, random, uniform } from './support/numbers.js';
import { crfInputs, on, TINY, TINY_CRF } from './support/sequence.js';

for (const build of builds) {
  test(`${build}: a beam that holds all prefixes finds every labelling and its probability`, () => {
    for (const [T, C, blank, scale] of TINY) {
      const x = uniform(random(10 * T + C), T * C, scale);
      const all = ctcReference.labellings(x, T, C, blank);
      const options = { blank, beamWidth: 2 * C ** T };
      const [found] = on(build, { x }, { T, B: 1, F: C }, (tape, rows) => ctcBeamSearch(tape, rows, options));
      is(found.length, all.size);
      is(new Set(found.map(({ labels }) => labels.join())).size, all.size);
      for (const [i, { labels, logProbability }] of found.entries()) {
        const p = all.get(labels.join()) ?? 0;
        close([logProbability], [Math.log(p)], 1e-6, `T=${T} C=${C} [${labels}]`);
        ok(i === 0 || logProbability <= found[i - 1].logProbability);
      }
    }
  });

  test(`${build}: beams of any width are those of the plain algorithm`, () => {
    for (const [T, C, blank, width, scale] of [
      [1, 4, 0, 3, 1],
      [10, 4, 0, 1, 1],
      [12, 3, 1, 5, 3],
      [30, 6, 5, 8, 2],
      [25, 17, 0, 40, 4],
      [60, 3, 2, 100, 1],
    ]) {
      const [B, lengths] = [2, [T, Math.ceil(T / 2)]];
      const x = uniform(random(T), T * B * C, scale);
      const options = { blank, beamWidth: width };
      const found = on(build, { x }, { T, B, F: C, lengths }, (tape, rows) => ctcBeamSearch(tape, rows, options));
      is(found.length, B);
      for (let b = 0; b < B; b++) {
        const own = Array.from({ length: lengths[b] * C }, (_, i) => x[(Math.floor(i / C) * B + b) * C + (i % C)]);
        const want = ctcReference.beam(own, lengths[b], C, blank, width);
        equal(
          found[b].map(({ labels }) => labels),
          want.map(({ labels }) => labels),
        );
        close(
          found[b].map(({ logProbability }) => logProbability),
          want.map(({ p }) => Math.log(p)),
          1e-6,
          `T=${T} C=${C} width ${width}`,
        );
      }
    }
  });

  test(`${build}: the best path drops repeats, then blanks, and takes the first of equal classes`, () => {
    const path = [
      [1, 1, 0, 1, 2, 2, 0, 0],
      [0, 0, 3, 3, 3, 1, 3, 0],
    ];
    const [T, B, C, lengths] = [8, 2, 5, [8, 6]];
    const x = new Float32Array(T * B * C);
    for (let r = 0; r < T * B; r++) {
      const c = path[r % B][Math.floor(r / B)];
      x[r * C + c] = 2;
      if (c < C - 1) x[r * C + c + 1] = 2;
    }
    const shape = { T, B, F: C, lengths };
    const best = (blank?: number) => on(build, { x }, shape, (tape, rows) => ctcBestPath(tape, rows, { blank }));
    equal(best(), [
      [1, 1, 2],
      [3, 1],
    ]);
    equal(best(2), [
      [1, 0, 1, 0],
      [0, 3, 1],
    ]);
  });

  test(`${build}: decoding gives each sequence as many labels as it has steps, and of equal ones the lowest`, () => {
    const [T, B, K, lengths] = [9, 3, 5, [9, 1, 4]];
    const { inputs } = crfInputs(7, { T, B, F: K, scale: 3 });
    const { x, ...rest } = inputs;
    const { tags, scores } = on(build, inputs, { T, B, F: K, lengths }, (tape, rows, crf) => crf.decode(tape, rows));
    lengths.forEach((steps, b) => {
      const own = Float32Array.from({ length: steps * K }, (_, i) => x[(Math.floor(i / K) * B + b) * K + (i % K)]);
      const alone = on(build, { x: own, ...rest }, { T: steps, B: 1, F: K }, (tape, rows, crf) =>
        crf.decode(tape, rows),
      );
      equal(tags[b], alone.tags[0]);
      is(scores[b], alone.scores[0]);
    });
    const zeros = Object.fromEntries(
      Object.entries(inputs).map(([name, { length }]) => [name, new Float32Array(length)]),
    );
    const even = on(build, zeros, { T, B, F: K, lengths }, (tape, rows, crf) => crf.decode(tape, rows));
    equal(
      even.tags,
      lengths.map((n) => new Int32Array(n)),
    );
    equal(even.scores, new Float32Array(B));
  });

  test(`${build}: the crf's best labels are those among all labellings`, () => {
    for (const [T, K, scale] of TINY_CRF) {
      const shape = { T, B: 1, F: K };
      const { inputs } = crfInputs(T * K, { ...shape, scale });
      const best = crfReference.labellings(inputs, T, K).reduce((a, b) => (b.score > a.score ? b : a));
      const { tags, scores } = on(build, inputs, shape, (tape, rows, crf) => crf.decode(tape, rows));
      equal(tags, [Int32Array.from(best.tags)]);
      close(scores, [best.score], 1e-6, `T=${T} K=${K}`);
    }
  });
}

test('decoding says what is wrong with its arguments', () => {
  const x = new Float32Array(6);
  const fails = (work: Parameters<typeof on>[3], message: RegExp) =>
    throws(() => on('simd', { x }, { T: 2, B: 1, F: 3 }, work), message);
  fails((tape, rows) => ctcBestPath(tape, rows, { blank: 3 }), /^blank: expected a whole number from 0 to 2, got 3$/);
  fails((tape, rows) => ctcBestPath(tape, rows, { width: 3 } as object), /^ctcBestPath: unknown option 'width'/);
  fails(
    (tape, rows) => ctcBeamSearch(tape, rows, { blank: 3, beamWidth: 8 }),
    /^blank: expected a whole number from 0 to 2, got 3$/,
  );
  fails(
    (tape, rows) => ctcBeamSearch(tape, rows, { beamWidth: 0 }),
    /^beamWidth: expected a positive whole number, got 0$/,
  );
  fails(
    (tape, rows) => ctcBeamSearch(tape, rows, { width: 3, beamWidth: 8 } as never),
    /^ctcBeamSearch: unknown option 'width'/,
  );
});

test.run();
