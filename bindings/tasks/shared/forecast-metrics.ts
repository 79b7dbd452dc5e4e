/** Errors of forecasts, step by step ahead, next to those of the seasonal naive forecast. */

/** Of one variable. */
export interface Forecast {
  /** [steps] the mean, or with quantiles the one nearest to the median. */
  readonly point: Float64Array;
  /** [quantiles][steps], increasing; absent for a model without quantiles. */
  readonly quantiles?: readonly Float64Array[];
}

/** Errors in the units of the series, [horizon]: for each step ahead. */
export interface ForecastErrors {
  readonly mae: Float64Array;
  readonly rmse: Float64Array;
}

export interface ForecastMetrics {
  /** Mean absolute error over all steps ahead, and that of the seasonal naive forecast if `season` was given. */
  readonly mae: number;
  readonly naiveMae?: number;
  /** The errors for each step ahead. */
  readonly horizon: ForecastErrors & {
    /** The pinball loss, the mean over the quantiles. */
    readonly pinball?: Float64Array;
    readonly naive?: ForecastErrors;
  };
  /** [quantiles] the fraction of the values that are at most the quantile. */
  readonly coverage?: Float64Array;
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

  over(n: number): ForecastErrors {
    return { mae: this.#absolute.map((sum) => sum / n), rmse: this.#square.map((sum) => Math.sqrt(sum / n)) };
  }
}

/** Compares the forecasts of one variable with what came. */
export class ForecastTally {
  readonly #errors: Sums;
  readonly #naive: Sums;
  readonly #pinball: Float64Array;
  readonly #below: Float64Array;
  #n = 0;

  /** @param season the period of the naive forecast: the value at the same time of the last known season */
  constructor(
    readonly truth: Float64Array,
    readonly horizon: number,
    readonly quantiles: readonly number[],
    readonly season: number | undefined,
  ) {
    this.#errors = new Sums(horizon);
    this.#naive = new Sums(horizon);
    this.#pinball = new Float64Array(horizon);
    this.#below = new Float64Array(quantiles.length);
  }

  /** @param origin the step that the forecast begins with */
  add(origin: number, { point, quantiles = [] }: Forecast): void {
    const { truth, season } = this;
    this.#n++;
    for (let k = 0; k < this.horizon; k++) {
      const y = truth[origin + k];
      this.#errors.add(k, point[k] - y);
      this.quantiles.forEach((q, i) => {
        const d = y - quantiles[i][k];
        this.#pinball[k] += (d > 0 ? q * d : (q - 1) * d) / this.quantiles.length;
        if (d <= 0) this.#below[i]++;
      });
      if (season !== undefined) this.#naive.add(k, truth[origin + k - season * (Math.floor(k / season) + 1)] - y);
    }
  }

  get metrics(): ForecastMetrics {
    const n = this.#n;
    const errors = this.#errors.over(n);
    const naive = this.season === undefined ? undefined : this.#naive.over(n);
    const some = this.quantiles.length > 0;
    return {
      mae: mean(errors.mae),
      ...(naive ? { naiveMae: mean(naive.mae) } : {}),
      horizon: {
        ...errors,
        ...(some ? { pinball: this.#pinball.map((sum) => sum / n) } : {}),
        ...(naive ? { naive } : {}),
      },
      ...(some ? { coverage: this.#below.map((sum) => sum / n / this.horizon) } : {}),
    };
  }
}
