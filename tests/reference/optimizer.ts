import type { OptimizerOptions } from 'gatewise';

/**
 * The weights after each step, by the formulas of torch.optim: plain loops in double precision. tests/pytorch-options.test.ts holds
 * it to PyTorch's own.
 */
export function steps(
  options: OptimizerOptions,
  weights: ArrayLike<number>,
  gradients: ArrayLike<number>[],
): Float64Array[] {
  const { optimizer = 'adam', learningRate: rate = 1e-3, l1 = 0, momentum = 0, dampening = 0 } = options;
  const { alpha = 0.99, beta1 = 0.9, beta2 = 0.999, nesterov, centered, amsgrad } = options;
  const { weightDecay = optimizer === 'adamw' ? 0.01 : 0, epsilon = optimizer === 'adagrad' ? 1e-10 : 1e-8 } = options;
  const w = Float64Array.from(weights);
  const zeros = () => new Float64Array(w.length);
  const [first, second, largest, velocity] = [zeros(), zeros(), zeros(), zeros()];
  return gradients.map((gradient, n) => {
    const t = n + 1;
    for (let i = 0; i < w.length; i++) {
      let g = gradient[i] + l1 * Math.sign(w[i]);
      if (optimizer === 'adamw') w[i] -= rate * weightDecay * w[i];
      else g += weightDecay * w[i];
      if (optimizer === 'sgd') {
        velocity[i] = t === 1 ? g : momentum * velocity[i] + (1 - dampening) * g;
        w[i] -= rate * (momentum === 0 ? g : nesterov ? g + momentum * velocity[i] : velocity[i]);
      } else if (optimizer === 'adagrad') {
        second[i] += g * g;
        w[i] -= (rate * g) / (Math.sqrt(second[i]) + epsilon);
      } else if (optimizer === 'rmsprop') {
        second[i] = alpha * second[i] + (1 - alpha) * g * g;
        first[i] = alpha * first[i] + (1 - alpha) * g;
        const step = g / (Math.sqrt(second[i] - (centered ? first[i] ** 2 : 0)) + epsilon);
        velocity[i] = momentum * velocity[i] + step;
        w[i] -= rate * (momentum ? velocity[i] : step);
      } else {
        first[i] = beta1 * first[i] + (1 - beta1) * g;
        second[i] = beta2 * second[i] + (1 - beta2) * g * g;
        largest[i] = Math.max(largest[i], second[i]);
        const root = Math.sqrt((amsgrad ? largest[i] : second[i]) / (1 - beta2 ** t)) + epsilon;
        w[i] -= (rate * first[i]) / (1 - beta1 ** t) / root;
      }
    }
    return w.slice();
  });
}
