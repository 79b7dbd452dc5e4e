/** Optimizers: hyperparameters and moments on this side, arithmetic in the core. The semantics are PyTorch's. */
import * as check from '../check.js';
import type { Model } from '../nn/model.js';

/** Hyperparameters; which ones count depends on `optimizer`. */
export interface OptimizerOptions {
  /** Default `'adam'`. */
  optimizer?: OptimizerName | undefined;
  /** η, default 1e-3; `fit` may be told another. */
  learningRate?: number | undefined;
  /** L2: λ/2·Σw² joins the loss; in `'adamw'` the weights shrink by η·λ a step instead. Default 0, `'adamw'` 0.01. */
  weightDecay?: number | undefined;
  /** L1: λ·Σ|w| joins the loss. Default 0. */
  l1?: number | undefined;
  /** sgd, rmsprop: default 0. */
  momentum?: number | undefined;
  /** sgd: default 0. */
  dampening?: number | undefined;
  /** sgd: needs momentum. */
  nesterov?: boolean | undefined;
  /** rmsprop: α, default 0.99. */
  alpha?: number | undefined;
  /** rmsprop: divide by the variance instead of the mean square. */
  centered?: boolean | undefined;
  /** adam, adamw: β₁ and β₂, default 0.9 and 0.999. */
  beta1?: number | undefined;
  beta2?: number | undefined;
  /** adam, adamw: divide by the largest mean square so far. */
  amsgrad?: boolean | undefined;
  /** rmsprop, adam, adamw 1e-8, adagrad 1e-10. */
  epsilon?: number | undefined;
}

export type OptimizerName = keyof typeof KNOWN;

const COMMON = ['optimizer', 'learningRate', 'weightDecay', 'l1'] as const;
const KNOWN = {
  sgd: ['momentum', 'dampening', 'nesterov'],
  rmsprop: ['alpha', 'epsilon', 'centered', 'momentum'],
  adam: ['beta1', 'beta2', 'epsilon', 'amsgrad'],
  adamw: ['beta1', 'beta2', 'epsilon', 'amsgrad'],
  adagrad: ['epsilon'],
} as const satisfies Record<string, readonly (keyof OptimizerOptions)[]>;

export const OPTIMIZER_OPTIONS: readonly (keyof OptimizerOptions)[] = [
  ...new Set([...COMMON, ...Object.values(KNOWN).flat()]),
];

/** The options of an optimizer with every default filled in. */
export type Settings = Required<{ [K in keyof OptimizerOptions]: NonNullable<OptimizerOptions[K]> }>;

export function settings(options: OptimizerOptions): Settings {
  const { optimizer = 'adam' } = options;
  check.oneOf('optimizer', optimizer, Object.keys(KNOWN) as OptimizerName[]);
  const own: readonly string[] = [...COMMON, ...KNOWN[optimizer]];
  for (const [key, value] of Object.entries(options)) {
    if (value !== undefined && !own.includes(key))
      throw new RangeError(`${key}: means nothing to the optimizer '${optimizer}'`);
  }
  const given = Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
  const all: Settings = {
    optimizer,
    learningRate: 1e-3,
    weightDecay: optimizer === 'adamw' ? 0.01 : 0,
    l1: 0,
    momentum: 0,
    dampening: 0,
    nesterov: false,
    alpha: 0.99,
    centered: false,
    beta1: 0.9,
    beta2: 0.999,
    amsgrad: false,
    epsilon: optimizer === 'adagrad' ? 1e-10 : 1e-8,
    ...given,
  };
  check.number('learningRate', all.learningRate, 0);
  for (const key of ['weightDecay', 'l1', 'momentum', 'dampening', 'epsilon'] as const) check.number(key, all[key], 0);
  for (const key of ['beta1', 'beta2', 'alpha'] as const) {
    if (check.number(key, all[key], 0) >= 1) check.fail(key, 'a number below 1', all[key]);
  }
  for (const key of ['nesterov', 'centered', 'amsgrad'] as const) check.flag(key, all[key]);
  if (all.nesterov && (all.momentum === 0 || all.dampening !== 0)) {
    throw new RangeError('nesterov: needs momentum above 0 and dampening 0');
  }
  return all;
}

/** An optimizer at work on a model: `update` applies the gradients that the last step left. */
export class Optimizer {
  readonly settings: Settings;
  /** Updates so far. */
  steps = 0;
  /** Addresses of the moments, each laid out as the parameters are, by PyTorch's names. */
  readonly moments: Readonly<Record<string, number>>;

  constructor(
    readonly model: Model<unknown>,
    options: OptimizerOptions = {},
  ) {
    this.settings = settings(options);
    const { optimizer, momentum, centered, amsgrad } = this.settings;
    const names = {
      sgd: momentum ? ['momentum_buffer'] : [],
      rmsprop: ['square_avg', ...(centered ? ['grad_avg'] : []), ...(momentum ? ['momentum_buffer'] : [])],
      adam: ['exp_avg', 'exp_avg_sq', ...(amsgrad ? ['max_exp_avg_sq'] : [])],
      adagrad: ['sum'],
    }[optimizer === 'adamw' ? 'adam' : optimizer];
    model.prepare();
    this.moments = Object.fromEntries(names.map((name) => [name, model.alloc(model.slabBytes, `optimizer's ${name}`)]));
  }

  /** The settings that mean something to this optimizer. */
  get options(): OptimizerOptions {
    const own: readonly string[] = [...COMMON, ...KNOWN[this.settings.optimizer]];
    return Object.fromEntries(Object.entries(this.settings).filter(([key]) => own.includes(key)));
  }

  /** One update at the given rate. */
  step(learningRate = this.settings.learningRate): void {
    const { model, moments } = this;
    const { core } = model.runtime;
    const { optimizer, weightDecay, l1, momentum, dampening, alpha, epsilon, beta1, beta2 } = this.settings;
    const { slab: w, gradients: g } = model;
    const n = model.slabBytes / 4;
    const at = (name: string) => moments[name] ?? 0;
    this.steps++;
    const decoupled = optimizer === 'adamw' ? weightDecay : 0;
    if (l1 > 0 || weightDecay > decoupled) core.addDecay(g, w, n, l1, weightDecay - decoupled);
    switch (optimizer) {
      case 'sgd': {
        // PyTorch's momentum starts as the first gradient, not dampened
        const dampened = this.steps === 1 ? 0 : dampening;
        core.sgd(w, at('momentum_buffer'), g, n, learningRate, momentum, dampened, this.settings.nesterov ? 1 : 0);
        break;
      }
      case 'rmsprop':
        core.rmsprop(
          w,
          at('square_avg'),
          at('grad_avg'),
          at('momentum_buffer'),
          g,
          n,
          learningRate,
          alpha,
          epsilon,
          momentum,
        );
        break;
      case 'adam':
      case 'adamw': {
        const rate = learningRate / (1 - power(beta1, this.steps));
        const root = 1 / Math.sqrt(1 - power(beta2, this.steps));
        const shrink = 1 - learningRate * decoupled;
        core.adam(
          w,
          at('exp_avg'),
          at('exp_avg_sq'),
          at('max_exp_avg_sq'),
          g,
          n,
          rate,
          root,
          shrink,
          beta1,
          beta2,
          epsilon,
        );
        break;
      }
      case 'adagrad':
        core.adagrad(w, at('sum'), g, n, learningRate, epsilon);
        break;
    }
    model.changed();
  }
}

/** xⁿ by squaring: Math.pow may differ from engine to engine. */
function power(x: number, n: number): number {
  let result = 1;
  for (let square = x; n > 0; n = Math.floor(n / 2), square *= square) if (n % 2 === 1) result *= square;
  return result;
}
