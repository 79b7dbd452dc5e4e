/** Samples → samples: an LSTM learns an amplifier from a recording before and after it. */
import { input, Linear, Model, mseLoss, Optimizer, Recurrent, Runtime, read, saveWeights } from 'gatewise';
import { Chance } from './support/chance.js';
import type { Example } from './support/stage.js';
import { recording, wavOf } from './support/wav.js';

const RATE = 48_000;
const HIDDEN = 16;
/** Samples through which gradients flow, recordings side by side in a batch, taps of the linear filter. */
const [WINDOW, BATCH, TAPS] = [512, 16, 32];

interface Recording {
  readonly dry: Float32Array;
  readonly wet: Float32Array;
}

/** Plucked strings, some of them chords, and an amplifier: a filter, an asymmetric clipping, another filter. */
function synthesized(seed: number, seconds: number): Recording {
  const chance = new Chance(seed);
  const dry = new Float32Array(seconds * RATE);
  for (let start = 0; start < dry.length; start += RATE / 4) {
    const notes = 1 + chance.below(3);
    for (let k = 0; k < notes; k++) {
      const frequency = 82.4 * 2 ** (chance.below(36) / 12);
      const [level, phase] = [0.15 + 0.35 * chance.next(), 2 * Math.PI * chance.next()];
      for (let t = start; t < Math.min(dry.length, start + RATE); t++) {
        const seconds = (t - start) / RATE;
        for (let harmonic = 1; harmonic <= 5; harmonic++) {
          const angle = 2 * Math.PI * frequency * harmonic * seconds + phase * harmonic;
          dry[t] += (level / harmonic) * Math.sin(angle) * Math.exp(-seconds * (2 + harmonic));
        }
      }
    }
  }
  let [high, low] = [0, 0];
  const wet = dry.map((x) => {
    high += 0.02 * (x - high);
    const driven = Math.tanh(6 * (x - high) + 0.3) - Math.tanh(0.3);
    low += 0.35 * (driven - low);
    return 0.6 * low;
  });
  return { dry, wet };
}

/** Error-to-signal ratio: squares of the error over squares of the signal. */
function ratio(truth: Float32Array, said: Float32Array): number {
  let [error, signal] = [0, 0];
  truth.forEach((y, t) => {
    error += (y - said[t]) ** 2;
    signal += y * y;
  });
  return error / signal;
}

/** The best linear filter of the last samples, by least squares: a baseline that cannot distort. */
function filtered(train: Recording, dry: Float32Array): Float32Array {
  const A = Array.from({ length: TAPS }, () => new Float64Array(TAPS + 1));
  for (let t = TAPS; t < train.dry.length; t += 7) {
    for (let i = 0; i < TAPS; i++) {
      for (let j = 0; j < TAPS; j++) A[i][j] += train.dry[t - i] * train.dry[t - j];
      A[i][TAPS] += train.dry[t - i] * train.wet[t];
    }
  }
  for (let i = 0; i < TAPS; i++) A[i][i] *= 1 + 1e-6;
  for (let i = 0; i < TAPS; i++) {
    for (let k = i + 1; k < TAPS; k++) {
      const factor = A[k][i] / A[i][i];
      for (let j = i; j <= TAPS; j++) A[k][j] -= factor * A[i][j];
    }
  }
  const taps = new Float64Array(TAPS);
  for (let i = TAPS - 1; i >= 0; i--) {
    let rest = A[i][TAPS];
    for (let j = i + 1; j < TAPS; j++) rest -= A[i][j] * taps[j];
    taps[i] = rest / A[i][i];
  }
  return dry.map((_, t) => taps.reduce((sum, tap, i) => sum + tap * (t >= i ? dry[t - i] : 0), 0));
}

export const example: Example = {
  title: 'an LSTM learns the sound of an amplifier, from a recording before and after it',
  usage: `[DRY.wav WET.wav]

  DRY.wav, WET.wav   the same passage before and after the amplifier   default synthesized`,
  async run(stage) {
    const [dryPath, wetPath, more] = stage.words;
    if (more || (dryPath && !wetPath)) throw new Error('expected two files, DRY.wav and WET.wav, or none');
    const all = dryPath
      ? { dry: await recording(dryPath, RATE), wet: await recording(wetPath, RATE) }
      : synthesized(stage.seed, 30);
    const length = Math.min(all.dry.length, all.wet.length);
    const end = Math.floor(0.8 * length);
    if (end < 2 * WINDOW * BATCH) throw new Error(`expected recordings of at least ${(2.5 * WINDOW * BATCH) / RATE} s`);
    const train = { dry: all.dry.slice(0, end), wet: all.wet.slice(0, end) };
    const test = { dry: all.dry.slice(end, length), wet: all.wet.slice(end, length) };
    stage.log(
      `  ${(end / RATE).toFixed(1)} s for training, the last ${((length - end) / RATE).toFixed(1)} s are held out`,
    );
    stage.metric('error-to-signal ratio, the dry signal itself', ratio(test.wet, test.dry));
    const baseline = ratio(test.wet, filtered(train, test.dry));
    stage.metric(`error-to-signal ratio, best linear filter of ${TAPS} samples`, baseline);

    const model = new Model(await Runtime.create(), stage.seed, (b) => ({
      rnn: new Recurrent(b, 'rnn', { cell: 'lstm', inputSize: 1, hiddenSize: HIDDEN, forgetBias: 1 }),
      head: new Linear(b, 'head', { inputSize: HIDDEN, outputSize: 1 }),
    }));
    const optimizer = new Optimizer(model, { learningRate: 4e-3 });
    const part = Math.floor(end / BATCH);
    const windows = Math.floor(part / WINDOW);
    const epochs = 6;
    const power = train.wet.reduce((sum, y) => sum + y * y, 0) / end;
    for (let epoch = 0; epoch < epochs; epoch++) {
      const state = model.layers.rnn.state(BATCH);
      for (let w = 0; w < windows; w++) {
        stage.signal.throwIfAborted();
        const at = (i: number) => (i % BATCH) * part + w * WINDOW + Math.floor(i / BATCH); // [T,B]
        const x = Float32Array.from({ length: WINDOW * BATCH }, (_, i) => train.dry[at(i)]);
        const y = Float32Array.from({ length: WINDOW * BATCH }, (_, i) => train.wet[at(i)]);
        const loss = model.valueAndGrad((tape, { rnn, head }) => {
          const { output } = rnn.forward(tape, input(tape, x, { T: WINDOW, B: BATCH, F: 1 }), state);
          return [{ loss: mseLoss(tape, head.forward(tape, output), y), weight: 1 / power }];
        });
        model.clipGradNorm(1);
        optimizer.step(4e-3 * 0.5 * (1 + Math.cos((Math.PI * (epoch * windows + w)) / (epochs * windows))));
        stage.progress(epoch * windows + w + 1, epochs * windows, `error-to-signal ratio ${loss.toFixed(4)}`);
      }
    }

    const state = model.layers.rnn.state(1);
    const said = new Float32Array(test.dry.length);
    const began = performance.now();
    for (let t = 0; t < said.length; t += 128) {
      const block = test.dry.subarray(t, t + 128);
      said.set(
        model.forward((tape, { rnn, head }) => {
          const { output } = rnn.forward(tape, input(tape, block, { T: block.length, B: 1, F: 1 }), state);
          return read(tape, head.forward(tape, output));
        }),
        t,
      );
    }
    const seconds = (performance.now() - began) / 1000;
    stage.metric(`error-to-signal ratio, this LSTM of ${HIDDEN} units`, ratio(test.wet, said), '', {
      atMost: dryPath ? baseline : 0.02,
    });
    stage.metric('share of one core, in blocks of 128 samples at 48 kHz', seconds / (said.length / RATE), '%');
    await stage.write('amplified.wav', wavOf(said, RATE));
    await stage.write('amp.safetensors', saveWeights(model));
    const from = Math.floor(said.length / 3);
    await stage.picture('waveform', {
      title: 'A hundredth of a second that was held out',
      width: 640,
      height: 240,
      data: {
        values: Array.from({ length: RATE / 100 }, (_, i) => [
          { ms: (1000 * i) / RATE, level: test.wet[from + i], signal: 'amplifier' },
          { ms: (1000 * i) / RATE, level: said[from + i], signal: 'LSTM' },
          { ms: (1000 * i) / RATE, level: test.dry[from + i], signal: 'before' },
        ]).flat(),
      },
      mark: 'line',
      encoding: {
        x: { field: 'ms', type: 'quantitative', title: 'time (ms)' },
        y: { field: 'level', type: 'quantitative', title: 'level (full scale = 1)' },
        color: { field: 'signal', type: 'nominal', title: null },
        strokeDash: { field: 'signal', type: 'nominal', title: null },
      },
    });
  },
};
