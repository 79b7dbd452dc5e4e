/** Files of guitar amplifiers: the outputs of the programs that wrote them, blocks, training, damaged files. */
import { readFileSync } from 'node:fs';
import { FormatError, input, loadWeights, mseLoss, Optimizer, Runtime, saveWeights, UnsupportedError } from 'gatewise';
import { loadAmp } from 'gatewise/import/amp';
import { test } from 'uvu';
import { equal, instance, is, ok, throws } from 'uvu/assert';

const folder = new URL('../../tests/import/', import.meta.url);
const text = (name: string) => readFileSync(new URL(name, folder), 'utf8');
const expected: Record<string, { input: number[]; output: number[] }> = JSON.parse(text('amp.json'));
const runtime = await Runtime.create();

for (const [name, { input: x, output }] of Object.entries(expected)) {
  test(`${name}: the samples of its own program, at once and in blocks`, () => {
    using model = loadAmp(runtime, text(name));
    const all = model.layers.process(Float32Array.from(x));
    const scale = Math.max(...output.map(Math.abs));
    const worst = Math.max(...output.map((y, t) => Math.abs(y - all[t])));
    ok(worst <= 1e-6 * scale, `off by ${worst} of ${scale}`);
    const states = model.layers.states();
    const blocks = [...Array(x.length / 20).keys()].flatMap((i) => [
      ...model.layers.process(Float32Array.from(x.slice(20 * i, 20 * (i + 1))), states),
    ]);
    equal(Float32Array.from(blocks), all);
  });
}

test('an imported amplifier is trained on, saved and loaded', () => {
  using model = loadAmp(runtime, text('lstm.nam'));
  const { input: x, output } = expected['lstm.nam'];
  const optimizer = new Optimizer(model, { learningRate: 1e-2 });
  const target = output.map((y) => 0.5 * y);
  const loss = () =>
    model.valueAndGrad((tape, amp) =>
      mseLoss(tape, amp.forward(tape, input(tape, x, { T: x.length, B: 1, F: 1 })), target),
    );
  const first = loss();
  for (let step = 0; step < 20; step++) {
    loss();
    optimizer.step();
  }
  ok(loss() < first / 2);
  using other = loadAmp(runtime, text('lstm.nam'));
  loadWeights(other, saveWeights(model));
  equal(other.layers.process(Float32Array.from(x)), model.layers.process(Float32Array.from(x)));
});

test('the description: rate, skip', () => {
  using nam = loadAmp(runtime, text('stack.nam'));
  is(nam.layers.description.sampleRate, 48000);
  is(nam.layers.states()[0].h.length, 2);
  using aida = loadAmp(runtime, text('lstm.aidax.json'));
  is(aida.layers.description.skip, true);
  is(aida.layers.description.sampleRate, undefined);
});

test('what is not supported and what is damaged is refused by name', () => {
  const nam = JSON.parse(text('lstm.nam'));
  const rt = JSON.parse(text('gru.rtneural.json'));
  const layer = (k: number, change: object) => ({
    ...rt,
    layers: rt.layers.map((own: object, i: number) => (i === k ? { ...own, ...change } : own)),
  });
  const cases: [file: unknown, error: typeof FormatError | typeof UnsupportedError, says: RegExp][] = [
    [{ ...nam, architecture: 'WaveNet' }, UnsupportedError, /^architecture: expected LSTM, got "WaveNet"/],
    [{ ...nam, weights: nam.weights.slice(1) }, FormatError, /^weights: expected a list of \d+, got a list of \d+/],
    [
      { ...nam, weights: [null, ...nam.weights.slice(1)] },
      FormatError,
      /^weights\[0\]: expected a finite number, got null/,
    ],
    [
      { ...nam, config: { ...nam.config, hidden_size: 1e9 } },
      FormatError,
      /^config.hidden_size: expected a whole number/,
    ],
    [{ ...nam, config: null }, FormatError, /^config: expected an object/],
    [{}, FormatError, /^layers: expected a list/],
    [[], FormatError, /^the file: expected an object/],
    [layer(0, { type: 'conv1d' }), UnsupportedError, /^layers\[0\]: a layer of type "conv1d" is not supported/],
    [layer(0, { activation: 'relu' }), UnsupportedError, /^layers\[0\].activation: expected tanh/],
    [layer(1, { activation: 'elu' }), UnsupportedError, /^layers\[1\].activation/],
    [layer(1, { weights: [] }), FormatError, /^layers\[1\].weights\[0\]: expected a list of 6, got undefined/],
    [layer(2, { shape: [2] }), FormatError, /^layers\[2\]/],
    [{ ...rt, in_skip: 2 }, UnsupportedError, /^in_skip/],
    [{ ...rt, in_gain: 3 }, UnsupportedError, /^in_gain/],
    [{ ...rt, layers: rt.layers.slice(0, 2) }, UnsupportedError, /^the last layer: expected 1 output, got 4/],
  ];
  for (const [file, kind, says] of cases) {
    const before = runtime.memory();
    try {
      loadAmp(runtime, JSON.stringify(file));
      ok(false, String(says));
    } catch (error) {
      instance(error, kind, String(says));
      ok(says.test((error as Error).message), `${says}: ${(error as Error).message}`);
    }
    equal(runtime.memory(), before);
  }
  throws(() => loadAmp(runtime, '{'), /^the file: is not valid JSON/);
  throws(() => loadAmp(runtime, 3 as never), TypeError);
  throws(() => loadAmp(runtime, text('lstm.nam'), { sed: 1 } as never), /sed/);
});

test.run();
