/** For authors of layers: whether a gradient is that of the loss. */
import * as check from './check.js';
import type { Parameter } from './nn/builder.js';
import type { Model } from './nn/model.js';
import { lossesOf, type Minimised, pass, Tape } from './tape.js';

export interface GradientCheck {
  /** The largest error, and whether it is within the bound. */
  readonly worst: number;
  readonly ok: boolean;
  readonly bound: number;
  readonly parameters: readonly {
    readonly name: string;
    /** Slopes of the loss along the gradient, and along one random direction. */
    readonly along: 'gradient' | 'random';
    /** What the gradient says, and what differences of the loss give. */
    readonly claimed: number;
    readonly measured: number;
    /** The length of the step that was compared, in the norm of the parameter. */
    readonly step: number;
    /** |claimed - measured| divided by the norm of the gradient; where that is 0, by a hundredth of the norm of all gradients. */
    readonly error: number;
  }[];
}

/** Lengths of the steps that are tried, over the first guess, each half of the one before. */
const STEPS = [32, 16, 8, 4, 2, 1, 1 / 2, 1 / 4, 1 / 8, 1 / 16];

/**
 * Compares directional derivatives with central differences of fourth order of the model's own loss, parameter by parameter: along its
 * gradient, unless that is 0, and along one random direction. Single precision bounds what can be seen: steps of several lengths
 * change the loss by about one percent, and a gradient that is off by half a percent is caught. Frozen parameters are left out.
 *
 * @param work what `valueAndGrad` takes: the forward pass, returning the loss. Dropout draws the same masks each time
 * @param options `bound`: largest error that passes, default 2e-3; `seed` of the random directions, default 1
 * @throws TypeError, RangeError for invalid options
 *
 * @example
 * ```js
 * import { gradcheck, input, Linear, Model, mseLoss, Runtime } from 'gatewise';
 *
 * const model = new Model(await Runtime.create(), 1, (b) => new Linear(b, 'head', { inputSize: 2, outputSize: 1 }));
 * const { ok } = gradcheck(model, (tape, head) =>
 *   mseLoss(tape, head.forward(tape, input(tape, [1, 2], { T: 1, B: 1, F: 2 })), [3]),
 * );
 * console.log(ok); // true
 * ```
 */
export function gradcheck<L>(
  model: Model<L>,
  work: (tape: Tape, layers: L) => Minimised,
  options: { bound?: number; seed?: number } = {},
): GradientCheck {
  check.model(model);
  check.callback('work', work);
  check.options('gradcheck', options, ['bound', 'seed']);
  const { bound = 2e-3, seed = 1 } = options;
  check.number('bound', bound, 0);
  check.whole('seed', seed, 0);
  const { runtime, random } = model;
  const { core } = runtime;
  const counters = { ...random.next };
  const rewind = () => Object.assign(random.next, counters);
  const loss = () =>
    pass(new Tape(runtime, true, [random]), (tape) => {
      rewind();
      return lossesOf(work(tape, model.layers)).reduce((sum, { loss, weight }) => sum + weight * loss.value, 0);
    });
  const value = model.valueAndGrad(work);
  const parameters: GradientCheck['parameters'][number][] = [];
  const normOf = ({ grad, size }: Parameter) => Math.sqrt(core.sumSquares(grad, Math.ceil(size / 4) * 4));
  const total = Math.sqrt(core.sumSquares(model.gradients, model.slabBytes / 4)) || 1;

  const measure = (parameter: Parameter, along: 'gradient' | 'random', norm: number, block: number) => {
    const { at, grad, size, name } = parameter;
    const n = Math.ceil(size / 4) * 4;
    const before = runtime.read(at, n);
    const direction = runtime.scope(() => {
      const d = runtime.takeZeroed(4 * n);
      if (along === 'random') core.fillNormal(d, size, 0, 1, seed, 0, block);
      else core.addScaled(d, grad, n, 1);
      core.scale(d, n, 1 / Math.sqrt(core.sumSquares(d, n)));
      return runtime.read(d, n);
    });
    const gradient = runtime.read(grad, n);
    const claimed = runtime.scope(() => {
      const d = runtime.take(4 * n);
      runtime.write(d, direction);
      return core.dot(d, grad, n);
    });
    // a change of the loss by about a percent, but not far from where the parameter is
    const extent = Math.sqrt(core.sumSquares(at, n)) || 1;
    const step = Math.min((0.005 * Math.max(Math.abs(value), 1e-3)) / norm, 0.02 * extent);
    const moved = (distance: number) => {
      runtime.write(at, before);
      runtime.scope(() => {
        const d = runtime.take(4 * n);
        runtime.write(d, direction);
        core.addScaled(at, d, n, distance);
      });
      model.changed();
      return loss();
    };
    // long steps see the curvature, short ones the rounding: what two neighbours agree on is the slope
    const differences = STEPS.map((factor) => moved(factor * step) - moved(-factor * step));
    const slopes = differences.slice(1).map((d, i) => (8 * d - differences[i]) / (12 * STEPS[i + 1] * step));
    const gap = (i: number) => Math.abs(slopes[i] - slopes[i - 1]);
    const best = slopes.reduce((at, _, i) => (i > 1 && gap(i) < gap(at) ? i : at), 1);
    const slope = (slopes[best] + slopes[best - 1]) / 2;
    runtime.write(at, before);
    runtime.write(grad, gradient);
    model.changed();
    const error = Math.abs(claimed - slope) / norm;
    parameters.push({ name, along, claimed, measured: slope, step: STEPS[best + 1] * step, error });
  };

  model.parameters.forEach((parameter, i) => {
    if (parameter.frozen) return;
    const norm = normOf(parameter);
    if (norm > 0) measure(parameter, 'gradient', norm, 0);
    // whether a gradient that is 0 should not be
    measure(parameter, 'random', norm || total / 100, i * 2 ** 24);
  });
  rewind();
  const worst = parameters.reduce((most, { error }) => (error > most || Number.isNaN(error) ? error : most), 0);
  return { worst, ok: worst <= bound, bound, parameters };
}
