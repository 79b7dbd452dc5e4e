/** Forecasters whose recurrent layer is a reservoir: what is solved for, what is learned next to simple forecasts, files, refusals. */
import { Forecaster, type ForecasterOptions } from 'gatewise/tasks';
import { test } from 'uvu';
import { equal, is, ok, throws } from 'uvu/assert';
import { leastSquares } from './reference/solve.js';
import { mackeyGlass } from './support/chaos.js';
import { close } from './support/numbers.js';

const SERIES = mackeyGlass(700).map(([x]) => x);
const SMALL = {
  window: 5,
  horizon: 2,
  cell: 'rnn',
  hiddenSize: 6,
  zoneoutHidden: 0.4,
  reservoir: true,
  seed: 3,
} as const;

test('all weights of the output are the ridge regression on the states and the steps', async () => {
  const series = SERIES.slice(0, 120);
  using model = await Forecaster.create(SMALL);
  const history = await model.fit(series);
  equal(history.steps.step, [], 'no steps are taken');
  const { level, scale } = model.scaling ?? { level: 0, scale: 1 };
  const z = series.map((y) => (y - level) / scale);
  const { window: W, horizon: K, hiddenSize: H, zoneoutHidden: kept } = SMALL;
  const [ih, hh, bias] = ['weight_ih', 'weight_hh', 'bias_ih'].map((name) => model.model.get(`rnn.${name}_l0`));
  ok(hh.some((w) => w !== 0));
  equal([...new Set(ih.map(Math.abs))], [0.5]);
  const stateOf = (window: readonly number[]) =>
    window.reduce((h, x) => {
      const net = h.map((_, i) => ih[i] * x + bias[i] + h.reduce((sum, v, j) => sum + hh[i * H + j] * v, 0));
      return h.map((v, i) => kept * v + (1 - kept) * Math.tanh(net[i]));
    }, new Array<number>(H).fill(0));
  const places = Array.from({ length: z.length - W - K + 1 }, (_, i) => i);
  const rows = places.map((i) => [...stateOf(z.slice(i, i + W)), ...z.slice(i, i + W), 1]);
  const x = Float64Array.from(rows.flat());
  const y = Float64Array.from(places.flatMap((i) => z.slice(i + W, i + W + K)));
  const N = H + W + 1;
  const squares = x.reduce((sum, v, i) => sum + (i % N < N - 1 ? v * v : 0), 0);
  const [head, linear, constant] = ['head.weight', 'linear.weight', 'linear.bias'].map((name) => model.model.get(name));
  const got = Float64Array.from({ length: N * K }, (_, i) => {
    const [n, k] = [Math.floor(i / K), i % K];
    return n < H ? head[k * H + n] : n < N - 1 ? linear[k * W + n - H] : constant[k];
  });
  // one of the penalties that are tried
  const errors = [1e-8, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1].map((penalty) => {
    const lambda = (penalty * squares) / (N - 1);
    const want = leastSquares(x, y, [...new Array<number>(N - 1).fill(lambda), 0]);
    const largest = Math.max(...want.map(Math.abs));
    return Math.max(...want.map((w, i) => Math.abs(w - got[i]))) / largest;
  });
  ok(Math.min(...errors) < 1e-3, `${errors}`);
  equal(model.model.get('head.bias'), new Float32Array(K));
});

test('it forecasts a chaotic series better than AR(p), the same from a file and step by step', async () => {
  const options = {
    window: 40,
    horizon: 6,
    cell: 'rnn',
    hiddenSize: 100,
    zoneoutHidden: 0.7,
    reservoir: true,
  } as const;
  using model = await Forecaster.create(options);
  await model.fit(SERIES, { to: 500 });
  const { mae, baselines } = await model.evaluate(SERIES, { from: 500 });
  const { ar } = baselines;
  console.log(`  Mackey-Glass: ${mae.toFixed(4)}, AR(p) ${ar.mae.toFixed(4)}`);
  ok(mae < 0.7 * ar.mae, `${mae}, AR(p) ${ar.mae}`);
  const [want] = await model.predict([SERIES]);
  using again = await Forecaster.load(model.save());
  equal(await again.predict([SERIES]), [want]);
  const drawn = model.model.get('rnn.weight_hh_l0');
  await again.fit(SERIES, { to: 600 });
  equal(again.model.get('rnn.weight_hh_l0'), drawn, 'another fit draws no other reservoir');
  using later = await Forecaster.create(options);
  await later.fit(SERIES, { to: 600 });
  equal(later.model.get('rnn.weight_hh_l0'), drawn);
  const stream = model.stream();
  let last: ReturnType<typeof stream.step> = null;
  for (const y of SERIES) last = stream.step(y);
  // a stream remembers more than the window
  close(last?.point ?? [], want.point, 0.05, 'stream');
});

test('quantiles, several variables and forecasts that read themselves', async () => {
  using model = await Forecaster.create({ ...SMALL, window: 20, hiddenSize: 40, quantiles: [0.1, 0.5, 0.9] });
  await model.fit(SERIES);
  const { coverage } = await model.evaluate(SERIES, { from: 400, warn: false });
  ok(Math.abs((coverage?.[2] ?? 0) - 0.9) < 0.08, `${coverage}`);
  using both = await Forecaster.create({
    ...SMALL,
    variables: ['a', 'b'],
    window: 20,
    hiddenSize: 40,
    method: 'recursive',
  });
  const pair = { a: SERIES, b: SERIES.map((x) => -2 * x) };
  await both.fit(pair);
  const [{ a, b }] = await both.predict([pair], { steps: 9 });
  is(a.point.length, 9);
  close(
    b.point,
    a.point.map((x) => -2 * x),
    1e-3,
    'forecasts',
  );
});

test('what a reservoir cannot be is refused by name', async () => {
  const refused = (more: object, message: RegExp) =>
    throws(() => Forecaster.createSync({ ...SMALL, ...more } as ForecasterOptions), message);
  refused({ cell: 'gru' }, /reservoir: true and cell: 'gru' of 1 layers cannot be combined: one layer of cell: 'rnn'/);
  refused({ numLayers: 2 }, /reservoir: true and cell: 'rnn' of several layers cannot be combined/);
  refused({ hiddenSize: [4, 4] }, /reservoir: true/);
  refused({ bias: false }, /reservoir: true and bias: false/);
  refused({ linear: 0 }, /linear: expected at least 1 step with reservoir: true, got 0/);
  refused({ reservoir: 1 }, /reservoir/);
  using model = Forecaster.createSync(SMALL);
  throws(() => model.fit(SERIES, { epochs: 3 }), /fit with reservoir: unknown option 'epochs'/);
  throws(() => model.fit(SERIES, { validation: 0.2 }), /fit with reservoir: unknown option 'validation'/);
  is(model.scaling, null);
});

test.run();
