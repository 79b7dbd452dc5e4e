/**
 * The linear path of a forecaster: its weights by ridge regression, with the penalty that predicts the end of the training data best; with a
 * reservoir, those of its state too.
 */
import { input, read } from '../../nn/input.js';
import type { Model } from '../../nn/model.js';
import { concat } from '../../nn/rows.js';
import { LeastSquares } from '../../nn/solve.js';
import type { Rows, Tape } from '../../tape.js';
import type { ForecastLayers } from './forecast-layers.js';

/** What is tried for λ, times the sum of squares of an input. */
const PENALTIES = [1e-8, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1];
/** The one that is taken where the training data are too short to compare them. */
const SHORT = 1e-1;
/** Multiplications that solving may take: of longer series, every n-th window is used. */
const WORK = 2e9;
/** Windows that penalties and quantiles are compared on, at most. */
const SAMPLE = 1024;
const BATCH = 64;

/** Training windows, in the order of time for each series: what a forecast reads, and what came, [horizon·targets], NaN where there is no value. */
export interface Windows {
  /** The windows of each series. */
  readonly counts: readonly number[];
  enter(tape: Tape, places: readonly number[]): { x: Rows; future: readonly Rows[] };
  truth(place: number): Float32Array;
}

/** n places, or fewer at equal distances. */
function spread(from: number, to: number, most: number): number[] {
  const step = Math.max(1, Math.ceil((to - from) / most));
  return Array.from({ length: Math.ceil((to - from) / step) }, (_, i) => from + i * step);
}

/** Sums for some outputs, [outputs] among horizon·targets. */
interface Part {
  readonly outputs: readonly number[];
  readonly sums: LeastSquares;
  /** Σ of the squares of what the path reads, the constants included. */
  size: number;
}

/** Solves for the weights of the linear path. The last fifth of the windows chooses the penalty. */
export function solveLinear(model: Model<ForecastLayers>, windows: Windows): void {
  const { settings, linear, head, rnn } = model.layers;
  if (!linear) return;
  const { horizon, method, targets, quantiles, reservoir } = settings;
  /** Features of the state that have weights here, before those of the path. */
  const S = reservoir ? rnn.finalSize : 0;
  const { runtime } = model;
  const Q = quantiles.length || 1;
  const N = S + linear.inputSize + 1;
  const M = linear.outputSize / Q;
  const count = windows.counts.reduce((sum, n) => sum + n, 0);
  const places = spread(0, count, Math.max(2 * N, Math.floor(WORK / (N * N))));

  const batches = (
    all: readonly number[],
    work: (tape: Tape, x: Rows, future: readonly Rows[], batch: readonly number[]) => void,
  ) => {
    for (let at = 0; at < all.length; at += BATCH) {
      const batch = all.slice(at, at + BATCH);
      model.forward((tape) => {
        const { x, future } = windows.enter(tape, batch);
        work(tape, x, future, batch);
      });
    }
  };
  const outputs = Array.from({ length: M }, (_, m) => m);
  // where values are missing, each output has windows of its own
  const gaps = places.some((place) => windows.truth(place).subarray(0, M).some(Number.isNaN));
  const parts: Part[] = [];
  try {
    for (const own of gaps ? outputs.map((m) => [m]) : [outputs]) {
      parts.push({ outputs: own, sums: new LeastSquares(runtime, N, own.length), size: 0 });
    }
    const addAll = (all: readonly number[]) =>
      batches(all, (tape, x, future, batch) => {
        const ones = input(tape, new Float32Array(batch.length).fill(1), { T: 1, B: batch.length, F: 1 });
        const states = reservoir ? [model.layers.state(tape, x)] : [];
        const features = concat(tape, [...states, ...model.layers.linearInputs(tape, x, future), ones]);
        const values = read(tape, features);
        const truths = batch.map((place) => windows.truth(place));
        for (const part of parts) {
          const known = truths.flatMap((truth, b) => (part.outputs.some((m) => Number.isNaN(truth[m])) ? [] : [b]));
          const B = known.length;
          if (B === 0) continue;
          const rows = gaps
            ? Float32Array.from({ length: B * N }, (_, i) => values[known[Math.floor(i / N)] * N + (i % N)])
            : values;
          const wanted = Float32Array.from(known.flatMap((b) => part.outputs.map((m) => truths[b][m])));
          for (const v of rows) part.size += v * v;
          const inputs = gaps ? input(tape, rows, { T: 1, B, F: N }) : features;
          part.sums.add(tape, inputs, input(tape, wanted, { T: 1, B, F: part.outputs.length }));
        }
      });
    /** With a penalty relative to the mean square of the inputs, apart from the constant. */
    const set = (penalty: number) => {
      const weight = new Float32Array(linear.weight.size);
      const bias = new Float32Array(M * Q);
      const ofState = new Float32Array(head.weight.size);
      for (const { outputs: own, sums, size } of parts) {
        if (sums.rows === 0) continue;
        const lambda = (penalty * Math.max(size - sums.rows, 0)) / (N - 1) || 1;
        const w = sums.solve(lambda, N - 1);
        own.forEach((m, i) => {
          for (let o = m * Q; o < (m + 1) * Q; o++) {
            for (let n = 0; n < S; n++) ofState[o * head.inputSize + n] = w[n * own.length + i];
            for (let n = S; n < N - 1; n++) weight[o * linear.inputSize + n - S] = w[n * own.length + i];
            bias[o] = w[(N - 1) * own.length + i];
          }
        });
      }
      model.set('linear.weight', weight);
      model.set('linear.bias', bias);
      if (reservoir) model.set('head.weight', ofState);
    };

    // no value after the beginning of the last fifth of a series has a part in what is tried there
    const late: number[] = [];
    const isEarly = new Uint8Array(count);
    let first = 0;
    for (const n of windows.counts) {
      const end = first + Math.floor(0.8 * n);
      isEarly.fill(1, first, Math.max(first, end - horizon + 1));
      late.push(...spread(end, first + n, Math.ceil((SAMPLE * n) / count)));
      first += n;
    }
    const early = places.filter((place) => isEarly[place]);
    let best = { penalty: SHORT, loss: Infinity };
    addAll(early);
    if (early.length > 1) {
      for (const penalty of PENALTIES) {
        set(penalty);
        let loss = 0;
        batches(late, (tape, x, future, batch) => {
          const truths = batch.map((place) => windows.truth(place));
          for (const own of model.layers.losses(tape, x, truths, future))
            loss += own.loss.value * own.weight * batch.length;
        });
        if (loss < best.loss) best = { penalty, loss };
      }
    }
    addAll(places.filter((place) => !isEarly[place]));
    set(best.penalty);
  } finally {
    for (const { sums } of parts) sums.dispose();
  }
  if (quantiles.length === 0) return;

  // each quantile: that of what the mean leaves
  const rest: number[][] = Array.from({ length: M }, () => []);
  const width = method === 'recursive' ? targets.length : horizon * targets.length;
  batches(spread(0, count, SAMPLE), (tape, x, future, batch) => {
    const [first] = model.layers.forward(tape, x, 1, undefined, future);
    const y = read(tape, first);
    batch.forEach((place, b) => {
      const truth = windows.truth(place);
      for (let m = 0; m < width; m++) {
        if (!Number.isNaN(truth[m])) rest[m].push(truth[m] - y[b * first.F + m * Q]);
      }
    });
  });
  const bias = model.get('linear.bias');
  rest.forEach((errors, m) => {
    if (errors.length === 0) return;
    const sorted = Float64Array.from(errors).sort();
    quantiles.forEach((q, i) => {
      bias[m * Q + i] += quantileOf(sorted, q);
    });
  });
  model.set('linear.bias', bias);
}

/** Quantile q of sorted numbers, between the two nearest (Hyndman & Fan 1996, type 7). */
export function quantileOf(sorted: Float64Array, q: number): number {
  const at = q * (sorted.length - 1);
  const low = Math.floor(at);
  const high = Math.min(low + 1, sorted.length - 1);
  return sorted[low] + (at - low) * (sorted[high] - sorted[low]);
}
