/** Learning rates that change during training. */
import * as check from '../check.js';
import {
  type Options,
  oneOf,
  option,
  type Reader,
  readOptions,
  real,
  required,
  type Settings,
  whole,
} from '../options.js';
import { power } from './optimizer.js';

const KINDS = {
  constant: {},
  /** The rate times `factor` after every `every` steps. */
  step: { every: required(whole(1)), factor: required(real(0)) },
  /**
   * Half a cosine from the rate down to `minLearningRate` at step `steps`, where it stays (Loshchilov & Hutter 2017,
   * arXiv:1608.03983v5).
   */
  cosine: {
    steps: required(whole(1)),
    /** Default 0. */
    minLearningRate: option(real(0), 0),
  },
  /**
   * The rate times `factor` when the mean loss of `every` steps has not been below the best so far, by the share `threshold`,
   * for more than `patience` times; never below `minLearningRate`.
   */
  plateau: {
    factor: required(real(0, 1)),
    patience: required(whole(0)),
    /** Default 1. */
    every: option(whole(1), 1),
    /** Default 1e-4. */
    threshold: option(real(0, 1), 1e-4),
    /** Default 0. */
    minLearningRate: option(real(0), 0),
  },
};
type Kinds = typeof KINDS;
type Kind = keyof Kinds;

const COMMON = {
  /** Steps at the beginning in which the rate grows in proportion, default 0. */
  warmup: option(whole(0), 0),
};

export type ScheduleOptions = Options<typeof COMMON> & { [K in Kind]: { kind: K } & Options<Kinds[K]> }[Kind];
type Kept = Settings<typeof COMMON> & { [K in Kind]: { readonly kind: K } & Settings<Kinds[K]> }[Kind];

function readSchedule(name: string, given: unknown): Kept {
  if (typeof given !== 'object' || given === null || Array.isArray(given)) {
    return check.fail(name, "an object such as { kind: 'cosine', steps }", given);
  }
  const { kind: any, ...rest } = given as Record<string, unknown>;
  const kind = oneOf(...(Object.keys(KINDS) as Kind[]))(`${name}.kind`, any);
  const settings = readOptions(name, { ...COMMON, ...KINDS[kind] }, rest, `${name}.`);
  return Object.freeze({ kind, ...settings }) as Kept;
}

/** What a schedule has to remember. */
interface Memory {
  /** Steps since it began. */
  made: number;
  /** plateau: what the rate is multiplied by, the best mean so far (null before the first), means since that were not better. */
  scale: number;
  best: number | null;
  bad: number;
  /** plateau: sum and number of the losses of the running period. */
  sum: number;
  count: number;
}

const count = whole(0, 2 ** 52);
const best: Reader<number | null> = (name, value) => (value === null ? null : check.number(name, value));
const MEMORY = {
  made: required(count),
  scale: required(real(0, 1)),
  best: required(best),
  bad: required(count),
  sum: required(check.number),
  count: required(count),
};

/** Decays that are computed one after the other, as they were made; more than that by squaring. */
const DECAYS = 2 ** 20;

/**
 * A learning rate that changes from step to step: `rate` before a step, `done` after it.
 *
 * @example
 * ```js
 * import { Schedule } from 'gatewise';
 *
 * const schedule = new Schedule({ kind: 'cosine', steps: 4, minLearningRate: 0.02 });
 * const rates = [];
 * for (let step = 0; step < 5; step++) {
 *   rates.push(schedule.rate(0.1).toFixed(3));
 *   schedule.done(1 / (step + 1)); // the loss of the step
 * }
 * console.log(rates.join(' ')); // 0.100 0.088 0.060 0.032 0.020
 * ```
 */
export class Schedule {
  /** With every default filled in. */
  readonly options: Kept;
  readonly memory: Memory;

  /**
   * @param memory that of a schedule to resume, default that of a new one
   * @throws TypeError, RangeError for invalid options
   */
  constructor(options: ScheduleOptions, memory?: Memory) {
    this.options = readSchedule('schedule', options);
    const fresh = { made: 0, scale: 1, best: null, bad: 0, sum: 0, count: 0 };
    this.memory = { ...readOptions('memory', MEMORY, memory === undefined ? fresh : memory, 'memory.') };
    const most = this.options.kind === 'plateau' ? this.options.every : 1;
    check.whole('memory.count', this.memory.count, 0, most - 1);
  }

  /** The rate of the step that comes next. */
  rate(base: number): number {
    const { options, memory } = this;
    const { warmup } = options;
    check.number('base', base);
    if (memory.made < warmup) return (base * (memory.made + 1)) / warmup;
    const n = memory.made - warmup;
    switch (options.kind) {
      case 'constant':
        return base;
      case 'step': {
        const decays = Math.floor(n / options.every);
        if (decays > DECAYS) return base * power(options.factor, decays);
        let rate = base;
        for (let i = decays; i > 0 && rate !== 0; i--) rate *= options.factor;
        return rate;
      }
      case 'cosine': {
        const { steps, minLearningRate: least } = options;
        return least + ((base - least) * (1 + cosPi(Math.min(n, steps) / steps))) / 2;
      }
      case 'plateau':
        return Math.max(base * memory.scale, Math.min(base, options.minLearningRate));
    }
  }

  /** To be called after each step. */
  done(loss: number): void {
    const { options, memory } = this;
    memory.made++;
    if (options.kind !== 'plateau') return;
    memory.sum += loss;
    memory.count++;
    if (memory.count < options.every) return;
    const mean = memory.sum / memory.count;
    memory.sum = 0;
    memory.count = 0;
    if (memory.best === null || mean < memory.best * (1 - options.threshold)) {
      memory.best = mean;
      memory.bad = 0;
    } else if (++memory.bad > options.patience) {
      memory.scale *= options.factor;
      memory.bad = 0;
    }
  }
}

/** cos πx for 0 ≤ x ≤ 1, by its series: Math.cos may differ from engine to engine. */
function cosPi(x: number): number {
  if (x > 0.5) return -cosPi(1 - x);
  const y2 = -((x * Math.PI) ** 2);
  let sum = 0;
  for (let k = 20; k > 0; k -= 2) sum = ((1 + sum) * y2) / (k * (k - 1));
  return 1 + sum;
}
