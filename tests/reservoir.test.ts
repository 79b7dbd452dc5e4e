/** Echo state networks: against reservoirpy on two chaotic series, the spectral radius against known ones, files, refusals. */
import { readFileSync } from 'node:fs';
import { Runtime, readSafetensors, writeSafetensors } from 'gatewise';
import { EchoStateNetwork, type EchoStateOptions } from 'gatewise/reservoir';
import { test } from 'uvu';
import { equal, is, not, ok, throws } from 'uvu/assert';
import { sparse, spectralRadius } from '#dist/bindings/nn/reservoir.js';
import { Random } from '#dist/bindings/random.js';
import { lorenz, mackeyGlass, normalizedError, standardised } from './support/chaos.js';
import { close } from './support/numbers.js';

interface Task {
  readonly name: string;
  readonly horizon: number;
  readonly units: number;
  readonly leak: number;
  readonly spectralRadius: number;
  readonly inputScale: number;
  readonly ridge: number;
  readonly last: number[];
  /** Errors of networks that reservoirpy drew. */
  readonly drawn: number[];
  /** Networks with their weights: those of U that are not zero, by their numbers. */
  readonly given: {
    readonly units: number;
    readonly networks: readonly { at: number[]; W: number[]; Win: number[]; error: number; outputs: number[] }[];
  };
}

const golden: { reservoirpy: string; tasks: Task[] } = JSON.parse(
  readFileSync(new URL('../../tests/golden/reservoirs.json', import.meta.url), 'utf8'),
);
const [TRAIN, WASHOUT] = [2000, 100];
const raw: Record<string, number[][]> = { 'Mackey-Glass': mackeyGlass(4000), Lorenz: lorenz(4000) };
const runtime = await Runtime.create();

const mean = (values: readonly number[]) => values.reduce((a, v) => a + v, 0) / values.length;

/** √(mean squared error / variance) after the training part, and the outputs there. */
function errorOf(esn: EchoStateNetwork, series: number[][], horizon: number) {
  const targets = series.slice(horizon);
  const inputs = series.slice(0, targets.length);
  esn.fit(inputs.slice(0, TRAIN), targets.slice(0, TRAIN), { washout: WASHOUT });
  const outputs = esn.predict(inputs.slice(TRAIN));
  return { outputs, error: normalizedError(outputs, targets.slice(TRAIN)) };
}

function optionsOf(task: Task, more: Partial<EchoStateOptions> = {}): EchoStateOptions {
  const { units, leak, inputScale, ridge } = task;
  const inputSize = raw[task.name][0].length;
  return { inputSize, units, leak, inputScale, ridge, spectralRadius: task.spectralRadius, runtime, ...more };
}

for (const task of golden.tasks) {
  const { name, horizon, given, drawn } = task;
  const series = standardised(raw[name], TRAIN);

  test(`${name}: the series is that of reservoirs.py`, () => equal(raw[name][raw[name].length - 1], task.last));

  test(`${name}: ten networks with the weights of reservoirpy's have its outputs and errors to 0.1 %`, async () => {
    const errors: number[] = [];
    for (const { at, W, Win, error: theirs, outputs: want } of given.networks) {
      using drawn = await EchoStateNetwork.create(optionsOf(task, { units: given.units }));
      // a file with its weights instead of ours
      const { tensors, metadata } = readSafetensors(drawn.save());
      const U = tensors.get('rnn.weight_hh_l0')?.data.fill(0) ?? new Float32Array();
      at.forEach((i, k) => (U[i] = W[k]));
      tensors.get('rnn.weight_ih_l0')?.data.set(Win);
      using esn = await EchoStateNetwork.load(writeSafetensors(tensors, metadata), { runtime });
      const { outputs, error } = errorOf(esn, series, horizon);
      close(outputs.subarray(0, want.length), want, 1e-3, 'outputs');
      ok(Math.abs(error / theirs - 1) < 1e-3, `${error}, reservoirpy ${theirs}`);
      errors.push(error);
    }
    const theirs = mean(given.networks.map(({ error }) => error));
    console.log(
      `  ${name}, given weights: ${mean(errors).toFixed(5)}, reservoirpy ${golden.reservoirpy} ${theirs.toFixed(5)}`,
    );
    ok(Math.abs(mean(errors) / theirs - 1) < 1e-3);
  });

  test(`${name}: the mean error of ten drawn networks is within three standard errors of that of reservoirpy's`, async () => {
    const errors: number[] = [];
    for (let seed = 0; seed < 10; seed++) {
      using esn = await EchoStateNetwork.create(optionsOf(task, { seed }));
      errors.push(errorOf(esn, series, horizon).error);
    }
    const [ours, theirs] = [mean(errors), mean(drawn)];
    const squares = (values: readonly number[]) =>
      mean(values.map((v) => (v - mean(values)) ** 2)) / (values.length - 1);
    const off = (ours - theirs) / Math.sqrt(squares(errors) + squares(drawn));
    console.log(
      `  ${name}, drawn: ${ours.toFixed(4)}, reservoirpy ${theirs.toFixed(4)}: ${off.toFixed(1)} standard errors`,
    );
    ok(Math.abs(off) < 3, `${off} standard errors`);
  });
}

test('the spectral radius of known matrices', () => {
  const radius = (rows: number[][]) => spectralRadius(runtime, Float32Array.from(rows.flat()), rows.length);
  const near = (got: number, want: number, bound = 1e-4) => ok(Math.abs(got / want - 1) < bound, `${got}, not ${want}`);
  near(radius([[-3]]), 3);
  near(
    radius([
      [0, 1],
      [1, 0],
    ]),
    1,
  );
  // a turn by any angle, and a factor
  near(
    radius([
      [0.6, -0.8],
      [0.8, 0.6],
    ]),
    1,
  );
  near(
    radius([
      [1, -2],
      [2, 1],
    ]),
    Math.sqrt(5),
  );
  // eigenvalues on the diagonal, far from normal
  near(
    radius([
      [0.5, 100, 0],
      [0, -0.7, 100],
      [0, 0, 0.2],
    ]),
    0.7,
    1e-3,
  );
  // a defective matrix: two equal eigenvalues, one eigenvector
  near(
    radius([
      [0.5, 1],
      [0, 0.5],
    ]),
    0.5,
    1e-3,
  );
  is(
    radius([
      [0, 1],
      [0, 0],
    ]),
    0,
  );
  // a matrix of rank one
  const n = 37;
  const u = Float32Array.from({ length: n }, (_, i) => Math.sin(i + 1));
  const v = Float32Array.from({ length: n }, (_, i) => Math.cos(i));
  const outer = Array.from({ length: n }, (_, i) => Array.from(v, (x) => u[i] * x));
  near(radius(outer), Math.abs(u.reduce((a, x, i) => a + x * v[i], 0)));
});

test('a large random matrix has the radius of the circular law', () => {
  const n = 400;
  const values = sparse(runtime, new Random(3), n, n, { density: 0.1 });
  const share = values.filter((x) => x !== 0).length / (n * n);
  ok(Math.abs(share - 0.1) < 0.003, `${share}`);
  const radius = spectralRadius(runtime, values, n);
  ok(Math.abs(radius / Math.sqrt(0.1 * n) - 1) < 0.08, `${radius}`);
});

test('a drawn reservoir has its spectral radius, its connectivity, and its input weights', async () => {
  const options = {
    inputSize: 2,
    units: 120,
    spectralRadius: 1.3,
    connectivity: 0.2,
    inputScale: 0.7,
    seed: 5,
    runtime,
  };
  using esn = await EchoStateNetwork.create({ ...options, inputConnectivity: 0.5, biasScale: 0.2 });
  const { tensors } = readSafetensors(esn.save());
  const U = tensors.get('rnn.weight_hh_l0')?.data ?? new Float32Array();
  ok(Math.abs(spectralRadius(runtime, U, 120) / 1.3 - 1) < 1e-3);
  ok(Math.abs(U.filter((x) => x !== 0).length / U.length - 0.2) < 0.02);
  const W = tensors.get('rnn.weight_ih_l0')?.data ?? new Float32Array();
  equal([...new Set(W)].sort(), [Math.fround(-0.7), 0, Math.fround(0.7)].sort());
  equal([...new Set(tensors.get('rnn.bias_ih_l0')?.data)].sort(), [Math.fround(-0.2), Math.fround(0.2)].sort());
});

test('the same seed draws the same network, another another', async () => {
  const bytes = async (seed: number) => {
    using esn = await EchoStateNetwork.create({ inputSize: 1, units: 20, seed, runtime });
    return [...esn.save()].join();
  };
  is(await bytes(1), await bytes(1));
  not.equal(await bytes(1), await bytes(2));
});

const wave = Array.from({ length: 600 }, (_, t) => Math.sin(t / 5) * Math.cos(t / 13));

test('it equals the layers that it is made of, and the leak is that of the formula', async () => {
  using esn = await EchoStateNetwork.create({
    inputSize: 1,
    units: 12,
    leak: 0.3,
    feedthrough: true,
    seed: 2,
    runtime,
  });
  esn.fit(wave.slice(0, -1), wave.slice(1));
  esn.reset();
  const got = esn.predict(wave.slice(0, 40));
  const { tensors } = readSafetensors(esn.save());
  const [W, U, V, v] = ['rnn.weight_ih_l0', 'rnn.weight_hh_l0', 'head.weight', 'head.bias'].map(
    (name) => tensors.get(name)?.data ?? new Float32Array(),
  );
  let h = new Float64Array(12);
  const want = wave.slice(0, 40).map((x) => {
    h = h.map((old, i) => {
      let net = W[i] * x;
      for (let j = 0; j < 12; j++) net += U[i * 12 + j] * h[j];
      return 0.7 * old + 0.3 * Math.tanh(net);
    });
    return V[12] * x + v[0] + h.reduce((a, s, i) => a + s * V[i], 0);
  });
  close(got, want, 1e-5, 'outputs');
});

test('pieces give the bits of the whole; fit leaves the state after its last step; forecast does not change it', async () => {
  using esn = await EchoStateNetwork.create({ inputSize: 1, units: 80, leak: 0.5, seed: 2, runtime });
  esn.fit(wave.slice(0, 400), wave.slice(1, 401));
  const after = esn.predict(wave.slice(400, 500));
  esn.reset();
  const whole = esn.predict(wave.slice(0, 500));
  equal([...whole.slice(400)], [...after]);
  esn.reset();
  const parts = [wave.slice(0, 7), wave.slice(7, 8), wave.slice(8, 60)].flatMap((part) => [...esn.predict(part)]);
  equal(parts, [...whole.slice(0, 60)]);
  const once = esn.forecast(wave.slice(0, 300), 20);
  equal([...esn.forecast(wave.slice(0, 300), 20)], [...once]);
  equal([...esn.predict(wave.slice(60, 70))], [...whole.slice(60, 70)]);
  // the wave continues
  close(once, wave.slice(300, 320), 0.05, 'forecast');
});

test('learn: step by step it ends at the ridge regression of all steps, whatever the pieces', async () => {
  const options: EchoStateOptions = {
    inputSize: 1,
    units: 40,
    leak: 0.5,
    ridge: 1e-3,
    feedthrough: true,
    seed: 2,
    runtime,
  };
  using once = await EchoStateNetwork.create(options);
  const [inputs, targets] = [wave.slice(0, -1), wave.slice(1)];
  const { error } = once.fit(inputs, targets, { washout: 0 });
  using esn = await EchoStateNetwork.create(options);
  const outputs = [0, 1, 90, 599].flatMap((from, i, cuts) => {
    const part = (series: number[]) => series.slice(from, cuts[i + 1] ?? from);
    return from === 599 ? [] : [...esn.learn(part(inputs), part(targets))];
  });
  is(outputs.length, 599);
  using whole = await EchoStateNetwork.create(options);
  equal([...whole.learn(inputs, targets)], outputs);
  // the constant has a penalty here and none in fit: 1e-3 of 599 steps
  once.reset();
  esn.reset();
  close(esn.predict(inputs), once.predict(inputs), 1e-4, 'outputs after all steps');
  // what it predicted before it knew: at first nothing, at the end nearly what the fit does
  is(outputs[0], 0);
  const late = Math.sqrt(mean(outputs.slice(300).map((v, i) => (v - targets[300 + i]) ** 2)));
  ok(late < 3 * error + 1e-3, `${late}, fit ${error}`);
});

test('learn: with forgetting it follows a series that changes, without it does not', async () => {
  const options: EchoStateOptions = { inputSize: 1, units: 30, leak: 0.5, ridge: 1e-3, seed: 2, runtime };
  const inputs = wave.slice(0, -1);
  // from the middle on the other way round
  const targets = wave.slice(1).map((v, t) => (t < 300 ? v : -v));
  const errors: number[] = [];
  for (const forgetting of [1, 0.97]) {
    using esn = await EchoStateNetwork.create({ ...options, forgetting });
    const outputs = esn.learn(inputs, targets);
    errors.push(Math.sqrt(mean([...outputs.slice(450)].map((v, i) => (v - targets[450 + i]) ** 2))));
  }
  ok(errors[1] < 0.1 * errors[0], `${errors}`);
});

test('learn continues from a fit, and from a file, with their weights; fit begins again', async () => {
  const options: EchoStateOptions = { inputSize: 1, units: 30, leak: 0.5, ridge: 0.1, seed: 2, runtime };
  using esn = await EchoStateNetwork.create(options);
  esn.fit(wave.slice(0, 300), wave.slice(1, 301));
  const bytes = esn.save();
  using same = await EchoStateNetwork.load(bytes, { runtime });
  // the first step is predicted by the weights of the fit
  equal(
    [...same.learn(wave.slice(0, 1), [0.5])],
    [...(await EchoStateNetwork.load(bytes, { runtime })).predict(wave.slice(0, 1))],
  );
  esn.reset();
  esn.learn(wave.slice(0, 50), wave.slice(1, 51));
  esn.fit(wave.slice(0, 300), wave.slice(1, 301));
  equal([...esn.save()].join(), [...bytes].join());
  const refused = esn.save();
  throws(() => esn.learn([1, 2], [1]), /targets: expected T=2 steps as in inputs, got 1/);
  throws(() => esn.learn([1, Number.NaN], [1, 2]), /inputs\[1\]: expected a finite number/);
  equal([...esn.save()].join(), [...refused].join());
  using none = await EchoStateNetwork.create({ ...options, ridge: 0 });
  throws(() => none.learn([1], [1]), /ridge: learn needs more than 0, got 0/);
  throws(() => none.predict([1]), /call fit/);
});

test('a file gives the same network; what is not one is refused', async () => {
  using esn = await EchoStateNetwork.create({ inputSize: 1, units: 15, feedthrough: true, seed: 4, runtime });
  const unfitted = esn.save();
  esn.fit(wave.slice(0, -1), wave.slice(1));
  using again = await EchoStateNetwork.load(esn.save(), { runtime });
  esn.reset();
  equal([...again.predict(wave)], [...esn.predict(wave)]);
  equal([...again.save()].join(), [...esn.save()].join());
  equal(again.config, esn.config);
  using fresh = await EchoStateNetwork.load(unfitted, { runtime });
  throws(() => fresh.predict([1]), /call fit/);
  const rejected = async (bytes: Uint8Array, message: RegExp) => {
    try {
      await EchoStateNetwork.load(bytes as Uint8Array<ArrayBuffer>, { runtime });
    } catch (error) {
      is((error as Error).name, 'FormatError');
      ok(message.test((error as Error).message), (error as Error).message);
      return;
    }
    throw new Error('was read');
  };
  const { tensors, metadata } = readSafetensors(esn.save());
  await rejected(writeSafetensors(tensors), /not one of an echo state network/);
  await rejected(writeSafetensors(tensors, { 'gatewise.echo-state': '{"format":2}' }), /format: expected 1, got 2/);
  await rejected(
    writeSafetensors(tensors, { 'gatewise.echo-state': '{"format":1,"fitted":true,"options":{"inputSize":0}}' }),
    /inputSize/,
  );
  const about = JSON.parse(metadata['gatewise.echo-state']);
  const described = (change: (of: { options: Record<string, unknown>; x?: unknown }) => void) => {
    const changed = structuredClone(about);
    change(changed);
    return writeSafetensors(tensors, { 'gatewise.echo-state': JSON.stringify(changed) });
  };
  const used = runtime.memory();
  await rejected(
    described((of) => delete of.options.leak),
    /options\.leak: is missing/,
  );
  await rejected(
    described((of) => Object.assign(of.options, { leak: 0 })),
    /leak: expected a number above 0/,
  );
  await rejected(
    described((of) => Object.assign(of.options, { units: 30_000 })),
    /rnn\.weight_hh_l0: expected \[30000,30000\]/,
  );
  await rejected(
    described((of) => Object.assign(of, { x: 1 })),
    /unknown option 'x'/,
  );
  equal(runtime.memory(), used);
  const less = new Map(tensors);
  less.delete('head.bias');
  await rejected(writeSafetensors(less, metadata), /head.bias: expected shape \[1\], got none/);
  await rejected(
    writeSafetensors(new Map([...tensors, ['more', { shape: [1], data: Float32Array.of(1) }]]), metadata),
    /more: is not a tensor of it/,
  );
});

test('bad options and data are refused by name', async () => {
  const bad: [object, RegExp][] = [
    [{ inputSize: 0 }, /inputSize: .*got 0/],
    [{}, /inputSize/],
    [{ inputSize: 1, leak: 0 }, /leak: expected a number above 0, got 0/],
    [{ inputSize: 1, leak: 1.5 }, /leak: .*got 1.5/],
    [{ inputSize: 1, forgetting: 0 }, /forgetting: expected a number above 0, got 0/],
    [{ inputSize: 1, connectivity: 0 }, /connectivity: expected a number above 0/],
    [{ inputSize: 1, spectralRadius: -1 }, /spectralRadius: .*got -1/],
    [{ inputSize: 1, ridge: -1 }, /ridge: .*got -1/],
    [{ inputSize: 1, unit: 5 }, /unknown option 'unit'; did you mean 'units'/],
    [{ inputSize: 1, units: 2, connectivity: 1e-9 }, /spectralRadius: the 2 units are connected in no circle/],
  ];
  for (const [options, message] of bad) {
    const made = await EchoStateNetwork.create({ runtime, ...options } as EchoStateOptions).catch(
      (error: Error) => error,
    );
    ok(made instanceof Error && message.test(made.message), `${made instanceof Error ? made.message : 'made'}`);
  }
  using esn = await EchoStateNetwork.create({ inputSize: 2, outputSize: 1, units: 5, connectivity: 1, runtime });
  throws(() => esn.predict([1, 2]), /call fit/);
  throws(() => esn.fit([1, 2, 3], [1]), /inputs: expected steps of F=2 numbers/);
  throws(() => esn.fit([[1, 2], [3]], [1, 2]), /inputs\[1\]: expected \[F=2\] = 2 numbers, got 1/);
  throws(() => esn.fit([1, Number.NaN], [1]), /inputs\[1\]: expected a finite number/);
  throws(() => esn.fit([1, 2, 3, 4], [1]), /targets: expected T=2 steps as in inputs, got 1/);
  throws(() => esn.fit([1, 2, 3, 4], [1, 2]), /washout: expected less than the T=2 steps, got 100/);
  throws(() => esn.fit([], []), /inputs: expected/);
  esn.fit([1, 2, 3, 4, 5, 6], [1, 2, 3], { washout: 1 });
  throws(() => esn.forecast([1, 2], 3), /outputSize is 1, inputSize 2/);
  // a refused fit leaves what was there
  const before = esn.predict([1, 2]);
  esn.reset();
  throws(() => esn.fit([1, 2], [Number.POSITIVE_INFINITY], { washout: 0 }));
  not.equal(before.length, 0);
});

test.run();
