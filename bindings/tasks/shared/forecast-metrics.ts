/** Errors of forecasts, step by step ahead, next to those of simple forecasts. */
import type { BaselineName, Baselines } from './forecast-baselines.js';

/** Of one variable. */
export interface Forecast {
  /** [steps] the mean, or with quantiles the one nearest to the median. */
  readonly point: Float64Array;
  /** [quantiles][steps], increasing; absent for a model without quantiles. */
  readonly quantiles?: readonly Float64Array[];
  /** [steps] the dates they belong to; absent where the series has none. */
  readonly dates?: readonly Date[];
}

/** Errors in the units of the series, [horizon]: for each step ahead. */
export interface ForecastErrors {
  readonly mae: Float64Array;
  readonly rmse: Float64Array;
}

export interface ForecastMetrics {
  /** Mean absolute error over all steps ahead. */
  readonly mae: number;
  /** The errors for each step ahead. */
  readonly horizon: ForecastErrors & {
    /** The number of values that were compared; missing ones are left out. */
    readonly count: Float64Array;
    /** The pinball loss, the mean over the quantiles. */
    readonly pinball?: Float64Array;
  };
  /** [quantiles] the fraction of the values that are at most the quantile. */
  readonly coverage?: Float64Array;
}

/** A simple forecast of the same steps. */
export interface BaselineMetrics {
  readonly mae: number;
  readonly horizon: ForecastErrors;
  /** [horizon] 1 - the model's mean absolute error / that of the baseline: above 0 where the model is better. */
  readonly skill: Float64Array;
}

/** The metrics of a model next to those of simple forecasts, which are fitted to the steps before `from`. */
export interface ComparedMetrics extends ForecastMetrics {
  readonly baselines: {
    /** The last value. */
    readonly naive: BaselineMetrics;
    /** The last value, and the mean rise from the first one. */
    readonly drift: BaselineMetrics;
    /** The value at the same time of the last known season, and its period. */
    readonly seasonalNaive: BaselineMetrics & { readonly season: number };
    /** A linear autoregression by least squares, and its order by AIC. */
    readonly ar: BaselineMetrics & { readonly order: number };
  };
  /** The baselines that have a smaller `mae` than the model, the best first. */
  readonly better: readonly BaselineName[];
}

const mean = (values: Float64Array) => values.reduce((sum, v) => sum + v, 0) / values.length;

/** Sums of errors, step by step ahead. */
class Sums {
  readonly #absolute: Float64Array;
  readonly #square: Float64Array;

  constructor(horizon: number) {
    this.#absolute = new Float64Array(horizon);
    this.#square = new Float64Array(horizon);
  }

  add(k: number, error: number): void {
    this.#absolute[k] += Math.abs(error);
    this.#square[k] += error * error;
  }

  over(count: Float64Array): ForecastErrors {
    return {
      mae: this.#absolute.map((sum, k) => sum / count[k]),
      rmse: this.#square.map((sum, k) => Math.sqrt(sum / count[k])),
    };
  }
}

/** Compares the forecasts of one variable with what came. */
export class ForecastTally {
  readonly #errors: Sums;
  readonly #simple: Record<BaselineName, Sums>;
  readonly #pinball: Float64Array;
  readonly #below: Float64Array;
  readonly #count: Float64Array;
  #baselines: Baselines | null = null;

  /** @param truth NaN where there is no value */
  constructor(
    readonly truth: Float64Array,
    readonly horizon: number,
    readonly quantiles: readonly number[],
  ) {
    const sums = () => new Sums(horizon);
    this.#errors = sums();
    this.#simple = { naive: sums(), drift: sums(), seasonalNaive: sums(), ar: sums() };
    this.#pinball = new Float64Array(horizon);
    this.#below = new Float64Array(quantiles.length);
    this.#count = new Float64Array(horizon);
  }

  /** The simple forecasts that the next ones are compared with. */
  set baselines(baselines: Baselines) {
    this.#baselines = baselines;
  }

  /** @param origin the step that the forecast begins with */
  add(origin: number, { point, quantiles = [] }: Forecast): void {
    const { truth, horizon } = this;
    for (let k = 0; k < horizon; k++) {
      const y = truth[origin + k];
      if (Number.isNaN(y)) continue;
      this.#count[k]++;
      this.#errors.add(k, point[k] - y);
      this.quantiles.forEach((q, i) => {
        const d = y - quantiles[i][k];
        this.#pinball[k] += (d > 0 ? q * d : (q - 1) * d) / this.quantiles.length;
        if (d <= 0) this.#below[i]++;
      });
    }
    if (!this.#baselines) return;
    for (const [name, rule] of Object.entries(this.#baselines.rules)) {
      rule(origin, horizon).forEach((said, k) => {
        const y = truth[origin + k];
        if (!Number.isNaN(y)) this.#simple[name as BaselineName].add(k, said - y);
      });
    }
  }

  get metrics(): ForecastMetrics {
    const count = this.#count.slice();
    const errors = this.#errors.over(count);
    const all = count.reduce((sum, n) => sum + n, 0);
    const some = this.quantiles.length > 0;
    return {
      mae: mean(errors.mae),
      horizon: { ...errors, count, ...(some ? { pinball: this.#pinball.map((sum, k) => sum / count[k]) } : {}) },
      ...(some ? { coverage: this.#below.map((sum) => sum / all) } : {}),
    };
  }

  /** `season` and `order` are those of the last baselines. */
  get compared(): ComparedMetrics {
    const { season = 0, order = 0 } = this.#baselines ?? {};
    return compare(this.metrics, (name) => this.#simple[name].over(this.#count), season, order);
  }
}

/** What came, less each quantile, step by step ahead. */
export class Residuals {
  /** [quantiles][horizon] */
  readonly #rest: readonly number[][][];

  constructor(
    readonly horizon: number,
    readonly levels: readonly number[],
  ) {
    this.#rest = levels.map(() => Array.from({ length: horizon }, () => []));
  }

  /** @param unit what differences are divided by; @param truth the values of the series */
  add(origin: number, { quantiles = [] }: Forecast, truth: Float64Array, unit: number): void {
    this.#rest.forEach((steps, q) => {
      steps.forEach((rest, k) => {
        const y = truth[origin + k];
        if (!Number.isNaN(y)) rest.push((y - quantiles[q][k]) / unit);
      });
    });
  }

  /** [quantiles][horizon]: of n residuals in order, number ⌊(n+1)q⌋ below the median, number ⌈(n+1)q⌉ from it on. */
  get offsets(): number[][] {
    return this.#rest.map((steps, i) =>
      steps.map((rest) => {
        const [q, n] = [this.levels[i], rest.length];
        // 0.7·10 is not to count as more than 7
        const rank = q < 0.5 ? Math.floor((n + 1) * q + 1e-9) : Math.ceil((n + 1) * q - 1e-9);
        if (rank < 1 || rank > n) {
          const least = Math.ceil(1 / Math.min(q, 1 - q) - 1e-9) - 1;
          throw new RangeError(`series: expected at least ${least} forecasts to calibrate the quantile ${q}, got ${n}`);
        }
        return Float64Array.from(rest).sort()[rank - 1];
      }),
    );
  }
}

function compare(
  own: ForecastMetrics,
  errors: (name: BaselineName) => ForecastErrors,
  season: number,
  order: number,
): ComparedMetrics {
  const of = (name: BaselineName): BaselineMetrics => {
    const horizon = errors(name);
    // an error of 0 on both sides is no better and no worse
    const skill = horizon.mae.map((e, k) => (own.horizon.mae[k] === e ? 0 : 1 - own.horizon.mae[k] / e));
    return { mae: mean(horizon.mae), horizon, skill };
  };
  const baselines = {
    naive: of('naive'),
    drift: of('drift'),
    seasonalNaive: { ...of('seasonalNaive'), season },
    ar: { ...of('ar'), order },
  };
  const names = Object.keys(baselines) as BaselineName[];
  const better = names.filter((name) => baselines[name].mae < own.mae);
  return { ...own, baselines, better: better.sort((a, b) => baselines[a].mae - baselines[b].mae) };
}

/** The metrics of all forecasts together; `season` and `order` are those of the last part. */
export function pooled(parts: readonly ComparedMetrics[]): ComparedMetrics {
  const last = parts[parts.length - 1];
  const count = last.horizon.count.map((_, k) => parts.reduce((sum, { horizon }) => sum + horizon.count[k], 0));
  const totals = parts.map(({ horizon }) => horizon.count.reduce((sum, n) => sum + n, 0));
  const all = totals.reduce((sum, n) => sum + n, 0);
  /** The mean over the values at each step ahead, of squares for what is the root of one. */
  const over = (of: (metrics: ComparedMetrics) => Float64Array, root = false) =>
    count.map((n, k) => {
      const sum = parts.reduce((total, metrics) => {
        const v = of(metrics)[k];
        const weight = metrics.horizon.count[k];
        return weight ? total + weight * (root ? v * v : v) : total;
      }, 0);
      return root ? Math.sqrt(sum / n) : sum / n;
    });
  const errors = (of: (metrics: ComparedMetrics) => ForecastErrors) => ({
    mae: over((metrics) => of(metrics).mae),
    rmse: over((metrics) => of(metrics).rmse, true),
  });
  const horizon = errors((metrics) => metrics.horizon);
  const none = new Float64Array();
  const shares = last.coverage?.map((_, q) =>
    parts.reduce((sum, { coverage = none }, i) => (totals[i] ? sum + (totals[i] * coverage[q]) / all : sum), 0),
  );
  const own: ForecastMetrics = {
    mae: mean(horizon.mae),
    horizon: {
      ...horizon,
      count,
      ...(last.horizon.pinball ? { pinball: over((metrics) => metrics.horizon.pinball ?? none) } : {}),
    },
    ...(shares ? { coverage: shares } : {}),
  };
  const { season } = last.baselines.seasonalNaive;
  const simple = (name: BaselineName) => errors((metrics) => metrics.baselines[name].horizon);
  return compare(own, simple, season, last.baselines.ar.order);
}

/** What a user is told where a simple forecast is better. */
export function warning(name: string, { mae, horizon, baselines, better }: ComparedMetrics): string {
  const [best] = better;
  const { season, order } = { ...baselines.seasonalNaive, ...baselines.ar };
  const words = {
    naive: 'the last value',
    drift: 'the last value and the mean rise',
    seasonalNaive: `the last season (${season} steps)`,
    ar: `a linear autoregression, AR(${order}),`,
  };
  const steps = baselines[best].skill.filter((skill) => skill < 0).length;
  const place = name ? `${name}: ` : '';
  return `gatewise: ${place}${words[best]} has a smaller mean absolute error than the model, ${baselines[best].mae} and ${mae}, and is better at ${steps} of ${horizon.mae.length} steps ahead`;
}
