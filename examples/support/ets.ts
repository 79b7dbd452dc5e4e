/** Exponential smoothing with a damped additive trend and, for a period above 1, an additive season (Gardner & McKenzie 1985; ETS(A,Ad,A)). */

interface Weights {
  readonly level: number;
  readonly trend: number;
  readonly season: number;
  readonly damping: number;
}

interface State {
  level: number;
  slope: number;
  /** [period] the next step's first. */
  season: number[];
}

/** The state before the first step: the mean and the mean rise of the first two periods, and what the first leaves. */
function start(y: readonly number[], period: number): State {
  const mean = (from: number, to: number) => y.slice(from, to).reduce((sum, v) => sum + v, 0) / (to - from);
  if (period === 1) return { level: y[0], slope: (y[Math.min(10, y.length - 1)] - y[0]) / 10, season: [0] };
  const level = mean(0, period);
  const slope = (mean(period, 2 * period) - level) / period;
  const season = Array.from({ length: period }, (_, i) => y[i] - level - slope * (i - (period - 1) / 2));
  return { level: level - (slope * (period + 1)) / 2, slope, season };
}

/** Reads one value, and returns what was predicted of it. */
function step(state: State, y: number, { level: a, trend: b, season: c, damping }: Weights): number {
  const [first] = state.season;
  const ahead = state.level + damping * state.slope;
  const error = y - ahead - first;
  state.level = ahead + a * error;
  state.slope = damping * state.slope + a * b * error;
  state.season = [...state.season.slice(1), first + c * (1 - a) * error];
  return ahead + first;
}

/** Weights with the smallest squared error of one step ahead: all of a grid, then smaller and smaller steps around the best. */
function fitted(y: readonly number[], period: number): Weights {
  const wrong = (weights: Weights) => {
    const state = start(y, period);
    return y.reduce((sum, v) => sum + (v - step(state, v, weights)) ** 2, 0);
  };
  const seasons = period > 1 ? [0.05, 0.2, 0.5] : [0];
  let best: Weights = { level: 0.5, trend: 0.1, season: seasons[0], damping: 0.98 };
  let error = wrong(best);
  const attempt = (weights: Weights) => {
    const e = wrong(weights);
    if (!(e < error)) return false;
    [best, error] = [weights, e];
    return true;
  };
  for (const level of [0.05, 0.2, 0.5, 0.8, 0.99])
    for (const trend of [0, 0.05, 0.2, 0.5])
      for (const season of seasons)
        for (const damping of [0.85, 0.95, 0.99, 1]) attempt({ level, trend, season, damping });
  for (let size = 0.1; size > 1e-3; size /= 2) {
    for (let better = true; better; ) {
      better = false;
      for (const name of ['level', 'trend', 'season', 'damping'] as const) {
        if (name === 'season' && period === 1) continue;
        for (const move of [-size, size]) {
          const value = Math.min(
            1,
            Math.max(name === 'damping' ? 0.8 : 0, best[name] + (name === 'damping' ? move / 5 : move)),
          );
          better = attempt({ ...best, [name]: value }) || better;
        }
      }
    }
  }
  return best;
}

/**
 * The mean absolute error of rolling forecasts of y from step `from` on, over all origins and `horizon` steps ahead. The weights are
 * fitted to what is before `from`, the state follows the series.
 */
export function etsError(y: readonly number[], from: number, horizon: number, period: number): number {
  const weights = fitted(y.slice(0, from), period);
  const state = start(y.slice(0, from), period);
  let [sum, count] = [0, 0];
  for (let t = 0; t + horizon <= y.length; t++) {
    if (t >= from) {
      let [level, slope] = [state.level, state.slope];
      for (let k = 0; k < horizon; k++, count++) {
        slope *= weights.damping;
        level += slope;
        sum += Math.abs(level + state.season[k % period] - y[t + k]);
      }
    }
    step(state, y[t], weights);
  }
  return sum / count;
}
