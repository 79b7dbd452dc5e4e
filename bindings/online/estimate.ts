/** What a learner will cost, before anything is allocated. */
import { PANEL } from '../../assembly/layout.js';
import * as check from '../check.js';
import { align } from '../core/runtime.js';
import { Outline } from '../nn/builder.js';
import { momentsOf } from '../train/optimizer.js';
import { isLinear, type LayerPlan, Network } from './network.js';
import {
  type Method,
  type OnlineOptions,
  type OnlinePlace,
  type OnlineSettings,
  readMethod,
  readOnline,
} from './options.js';

/** Bytes and multiplications of a learner, next to those of backpropagation through time. */
export interface Estimate {
  readonly method: Method;
  /** Numbers in all parameters. */
  readonly parameters: number;
  /** Bytes of what is carried forward in time in addition to the state: the influence of the parameters. */
  readonly influenceBytes: number;
  /** Bytes that `create` allocates, weights and optimizer included. They do not grow. */
  readonly bytes: number;
  /** Multiplications of a step with a target: prediction, influence and gradient. */
  readonly multiplications: number;
  /** The same network trained by backpropagation through windows of `steps` steps. */
  readonly bptt: {
    readonly steps: number;
    /** Bytes of the states and gates of a window, of the weights, their gradients and the optimizer. */
    readonly bytes: number;
    /** Multiplications for each step where windows follow one another: one update for `steps` steps. */
    readonly multiplications: number;
    /** The same where each step has an update of its own, as here: every step then goes through a whole window. */
    readonly multiplicationsPerUpdate: number;
  };
}

/** Adds up what is allocated, and allocates nothing. */
class Measure extends Outline {
  bytes = 0;

  override alloc(bytes = 0): number {
    this.bytes += align(Math.max(bytes, 1));
    return 0;
  }
}

/**
 * Computes what a learner costs. Nothing is allocated.
 *
 * @param model the options of `OnlineLearner.create`
 * @param options `method`: the rule, default that of the model; `steps`: T, the length of the windows of backpropagation through time
 *   that it is compared with, default 100
 * @throws TypeError, RangeError for invalid options
 *
 * @example
 * ```js
 * import { estimate } from 'gatewise/online';
 *
 * const model = { cell: 'gru', inputSize: 16, hiddenSize: 32, outputSize: 10, loss: 'crossEntropy' };
 * const exact = estimate(model, { method: 'rtrl' });
 * const local = estimate(model, { method: 'snap1' });
 * console.log(exact.influenceBytes / local.influenceBytes > 25); // true
 * ```
 */
export function estimate(
  model: OnlineOptions & OnlinePlace,
  options: { method?: Method; steps?: number } = {},
): Estimate {
  check.options('estimate', options, ['method', 'steps']);
  if (typeof model !== 'object' || model === null) check.fail('estimate: model', 'the options of a learner', model);
  const { method = model.method ?? 'rtrl', steps = 100 } = options;
  readMethod('method', method);
  check.whole('steps', steps);
  const { maxBytes: _, module: __, ...rest } = model;
  return estimateOf(readOnline('estimate', { ...(rest as OnlineOptions), method }), steps);
}

/** The same of checked options. */
export function estimateOf(settings: OnlineSettings, steps: number): Estimate {
  const { own, optimizer } = settings;
  const sizes: number[] = [];
  // an outline neither reads memory nor takes any
  const measure = new Measure(null as never, (_, shape) => sizes.push(shape.reduce((a, b) => a * b)));
  const { layers } = new Network(measure, settings);
  const parameters = sizes.reduce((a, b) => a + b);
  const slabs = sizes.reduce((n, size) => n + align(4 * size), 0) * (2 + momentsOf(optimizer).length);
  const influence = layers.reduce((n, plan) => n + numbersOf(plan.influence), 0);
  const rows = layers.reduce((n, { direction: d, kinds }) => n + d.ldz + d.ldextra + kinds * d.ldh, 0);
  return {
    method: own.method,
    parameters,
    influenceBytes: 4 * influence,
    bytes: measure.bytes + slabs,
    multiplications: parameters + work(layers, own.method) + 2 * own.outputSize * layers[layers.length - 1].direction.H,
    bptt: {
      steps,
      bytes: slabs + steps * rows,
      multiplications: 3 * parameters,
      multiplicationsPerUpdate: 3 * parameters * steps,
    },
  };
}

function numbersOf(shape: readonly number[]): number {
  return shape.length ? shape.reduce((a, b) => a * b) : 0;
}

/** Multiplications of the derivatives of a step, of the influence and of the gradient of the recurrent layers. */
function work(layers: readonly LayerPlan[], method: Method): number {
  const { H: last } = layers[layers.length - 1].direction;
  return layers.reduce((sum, { direction, kinds, gates, lanes }, n) => {
    if (isLinear(direction)) {
      const { I, H, bih } = direction;
      const fed = I + (bih ? 1 : 0);
      // C and its gradient, B and D; the traces: five products for each complex number that x feeds, four for the others
      const gradient = H * (2 * H + 4 + (method === 'immediate' ? 2 : 3) * fed) + (n > 0 ? 2 * H * I : 0);
      return sum + gradient + (method === 'immediate' ? 0 : (H / 2) * (5 * fed + 8));
    }
    const weights = direction.H * gates.reduce((total, { fromX, fromH }) => total + fromH + (n > 0 ? fromX : 0), 0);
    if (method === 'immediate') return sum + lanes + weights;
    if (method === 'snap1') return sum + lanes * (kinds === 2 ? 7 : 3) + weights;
    const numbers = PANEL * Math.ceil(lanes / PANEL);
    const products = layers.slice(n).reduce((total, { direction: { I, H } }, m) => {
      return total + kinds * H * H + (kinds === 2 ? 2 * H : 0) + (m > 0 ? kinds * H * I : 0);
    }, 0);
    return sum + kinds * weights + numbers * (products + last) + kinds * lanes + direction.H;
  }, 0);
}
