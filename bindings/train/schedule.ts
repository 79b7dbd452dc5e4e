/** Learning rates that change as training goes on. */
import * as check from '../check.js';

export type ScheduleOptions = {
  /** Steps at the front in which the rate grows in proportion, default 0. */
  warmup?: number | undefined;
} & (
  | { kind: 'constant' }
  /** The rate times `factor` after every `every` steps. */
  | { kind: 'step'; every: number; factor: number }
  /** Half a cosine from the rate down to `floor` (default 0) at step `steps`, where it stays (Loshchilov & Hutter 2017, arXiv:1608.03983v5). */
  | { kind: 'cosine'; steps: number; floor?: number | undefined }
  /**
   * The rate times `factor` when the mean loss of `every` steps has not been below the best so far, by the share `threshold`
   * (default 1e-4), for more than `patience` times; never below `floor`.
   */
  | {
      kind: 'plateau';
      factor: number;
      patience: number;
      every?: number | undefined;
      threshold?: number | undefined;
      floor?: number | undefined;
    }
);

const FIELDS = {
  constant: [],
  step: ['every', 'factor'],
  cosine: ['steps', 'floor'],
  plateau: ['factor', 'patience', 'every', 'threshold', 'floor'],
} as const;

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

export class Schedule {
  readonly options: ScheduleOptions;
  readonly memory: Memory;

  constructor(options: ScheduleOptions, memory?: Memory) {
    const { kind, warmup = 0, ...rest } = options;
    check.oneOf('schedule.kind', kind, Object.keys(FIELDS) as (keyof typeof FIELDS)[]);
    check.options('schedule', rest, FIELDS[kind]);
    check.whole('schedule.warmup', warmup, 0);
    switch (options.kind) {
      case 'step':
        check.whole('schedule.every', options.every);
        check.number('schedule.factor', options.factor, 0);
        break;
      case 'cosine':
        check.whole('schedule.steps', options.steps);
        check.number('schedule.floor', options.floor ?? 0, 0);
        break;
      case 'plateau':
        check.number('schedule.factor', options.factor, 0, 1);
        check.whole('schedule.patience', options.patience, 0);
        check.whole('schedule.every', options.every ?? 1);
        check.number('schedule.threshold', options.threshold ?? 1e-4, 0, 1);
        check.number('schedule.floor', options.floor ?? 0, 0);
        break;
    }
    this.options = options;
    this.memory = { made: 0, scale: 1, best: null, bad: 0, sum: 0, count: 0, ...memory };
  }

  /** The rate of the step that comes next. */
  rate(base: number): number {
    const { options, memory } = this;
    const { warmup = 0 } = options;
    if (memory.made < warmup) return (base * (memory.made + 1)) / warmup;
    const n = memory.made - warmup;
    switch (options.kind) {
      case 'constant':
        return base;
      case 'step': {
        let rate = base;
        for (let i = Math.floor(n / options.every); i > 0; i--) rate *= options.factor;
        return rate;
      }
      case 'cosine': {
        const { steps, floor = 0 } = options;
        return floor + ((base - floor) * (1 + cosPi(Math.min(n, steps) / steps))) / 2;
      }
      case 'plateau':
        return Math.max(base * memory.scale, Math.min(base, options.floor ?? 0));
    }
  }

  /** To be called after each step. */
  done(loss: number): void {
    const { options, memory } = this;
    memory.made++;
    if (options.kind !== 'plateau') return;
    memory.sum += loss;
    memory.count++;
    if (memory.count < (options.every ?? 1)) return;
    const mean = memory.sum / memory.count;
    memory.sum = 0;
    memory.count = 0;
    if (memory.best === null || mean < memory.best * (1 - (options.threshold ?? 1e-4))) {
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
