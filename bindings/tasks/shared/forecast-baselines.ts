/** Simple forecasts that a model is compared with: the last value, the mean rise, the last season, a linear autoregression. */
import { input } from '../../nn/input.js';
import type { Model } from '../../nn/model.js';
import { LeastSquares } from '../../nn/solve.js';

export type BaselineName = 'naive' | 'drift' | 'seasonalNaive' | 'ar';

/** Forecasts of the `horizon` steps from `origin` on, from what was before. */
export type Rule = (origin: number, horizon: number) => Float64Array;

/** What was fitted to the values before a step. */
export interface Baselines {
  readonly rules: Readonly<Record<BaselineName, Rule>>;
  /** The period of the seasonal naive forecast. */
  readonly season: number;
  /** The order p of AR(p). */
  readonly order: number;
}

const AR_ROWS = 512;
/** Keeps what depends linearly on the rest solvable; small against what rounding to floats adds. */
const RIDGE = 1e-10;

/**
 * Fits to y before step `from`.
 *
 * @param model whose core computes
 * @param season default: the period whose seasonal naive forecast has the smallest error there
 */
export function fitBaselines(model: Model<unknown>, y: Float64Array, from: number, season?: number): Baselines {
  const period = season ?? bestSeason(y, from);
  const ar = fitAr(model, y.subarray(0, from));
  const over = (horizon: number, of: (k: number) => number) => Float64Array.from({ length: horizon }, (_, k) => of(k));
  return {
    season: period,
    order: ar.weights.length,
    rules: {
      naive: (origin, horizon) => over(horizon, () => y[origin - 1]),
      drift: (origin, horizon) => {
        const rise = origin > 1 ? (y[origin - 1] - y[0]) / (origin - 1) : 0;
        return over(horizon, (k) => y[origin - 1] + (k + 1) * rise);
      },
      seasonalNaive: (origin, horizon) => over(horizon, (k) => y[origin + k - period * (Math.floor(k / period) + 1)]),
      ar: (origin, horizon) => ar.forecast(y, origin, horizon),
    },
  };
}

/** From 2 to half of what there is, at most 400. */
function bestSeason(y: Float64Array, from: number): number {
  let best = { season: 1, error: Infinity };
  for (let season = 2; season <= Math.min(from >> 1, 400); season++) {
    let error = 0;
    for (let t = season; t < from; t++) error += Math.abs(y[t] - y[t - season]);
    error /= from - season;
    if (error < best.error) best = { season, error };
  }
  return best.season;
}

/** The largest whole number below or at 10·log₁₀ n, as in R's `ar`; from logarithms that do not differ from engine to engine. */
function mostLags(n: number): number {
  let lags = 0;
  for (let rest = n; rest >= 1.2589254117941673; rest /= 1.2589254117941673) lags++;
  return Math.min(lags, Math.floor((n - 2) / 3));
}

/** eˣ of a small number, by its series: every engine rounds the four operations alike. */
function exp(x: number): number {
  let [sum, term] = [1, 1];
  for (let i = 1; i < 30; i++) {
    term *= x / i;
    sum += term;
  }
  return sum;
}

/**
 * y_t = c + Σ φᵢ y_{t-i}, by least squares, of the order p with the smallest AIC, n ln(RSS/n) + 2p (Akaike 1974,
 * https://doi.org/10.1109/TAC.1974.1100705): all orders are compared on the same steps.
 */
function fitAr(model: Model<unknown>, y: Float64Array) {
  const n = y.length;
  const mean = y.reduce((sum, v) => sum + v, 0) / n;
  const scale = Math.sqrt(y.reduce((sum, v) => sum + (v - mean) * (v - mean), 0) / n) || 1;
  const z = y.map((v) => (v - mean) / scale);
  const most = mostLags(n);
  /** Weights of 1, z_{t-1}, z_{t-2} … for each order up to `largest`, from the steps that have `largest` before them. */
  const solved = (largest: number, orders: readonly number[]): Float64Array[] => {
    const F = largest + 1;
    const squares = new LeastSquares(model.runtime, F, 1);
    try {
      for (let at = largest; at < n; at += AR_ROWS) {
        const R = Math.min(AR_ROWS, n - at);
        const x = Float32Array.from({ length: R * F }, (_, i) => {
          const lag = i % F;
          return lag ? z[at + Math.floor(i / F) - lag] : 1;
        });
        model.forward((tape) => {
          squares.add(
            tape,
            input(tape, x, { T: R, B: 1, F }),
            input(tape, z.subarray(at, at + R), { T: R, B: 1, F: 1 }),
          );
        });
      }
      return orders.map((p) => squares.solve(RIDGE * squares.rows, F, p + 1));
    } finally {
      squares.dispose();
    }
  };
  const residual = (w: Float64Array, t: number) => {
    let e = z[t] - w[0];
    for (let i = 1; i < w.length; i++) e -= w[i] * z[t - i];
    return e;
  };
  let best = { order: 0, value: Infinity };
  if (most > 0) {
    const orders = Array.from({ length: most + 1 }, (_, p) => p);
    // of AIC, what grows with it: RSS·e^(2p/n)
    const factor = exp(2 / (n - most));
    let penalty = 1;
    for (const w of solved(most, orders)) {
      let sum = 0;
      for (let t = most; t < n; t++) sum += residual(w, t) ** 2;
      if (sum * penalty < best.value) best = { order: w.length - 1, value: sum * penalty };
      penalty *= factor;
    }
  }
  const [w] = solved(best.order, [best.order]);
  const forecast = (all: Float64Array, origin: number, horizon: number) => {
    const past = Array.from(all.subarray(origin - best.order, origin), (v) => (v - mean) / scale);
    return Float64Array.from({ length: horizon }, () => {
      let next = w[0];
      for (let i = 1; i < w.length; i++) next += w[i] * past[past.length - i];
      past.push(next);
      return mean + scale * next;
    });
  };
  return { weights: w.subarray(1), forecast };
}
