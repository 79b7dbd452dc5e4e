/** Optimizers against their formulas in double precision, over twenty steps, with every option. */
import { Embedding, Model, Optimizer, type OptimizerOptions } from 'gatewise';
import { test } from 'uvu';
import { throws } from 'uvu/assert';
import { steps as reference } from './reference/optimizer.js';
import { builds, guarded } from './support/builds.js';
import { close, random, uniform } from './support/numbers.js';

const settings: OptimizerOptions[] = [
  { optimizer: 'sgd', learningRate: 0.1 },
  { optimizer: 'sgd', learningRate: 0.1, momentum: 0.9 },
  { optimizer: 'sgd', learningRate: 0.1, momentum: 0.9, dampening: 0.3, weightDecay: 0.1 },
  { optimizer: 'sgd', learningRate: 0.1, momentum: 0.8, nesterov: true },
  { optimizer: 'sgd', learningRate: 0.1, l1: 0.2 },
  { optimizer: 'rmsprop', learningRate: 0.01 },
  { optimizer: 'rmsprop', learningRate: 0.01, alpha: 0.9, epsilon: 1e-5, weightDecay: 0.1 },
  { optimizer: 'rmsprop', learningRate: 0.01, centered: true },
  { optimizer: 'rmsprop', learningRate: 0.01, momentum: 0.9 },
  { optimizer: 'rmsprop', learningRate: 0.01, momentum: 0.9, centered: true },
  { optimizer: 'adam', learningRate: 0.01 },
  { optimizer: 'adam', learningRate: 0.01, beta1: 0.8, beta2: 0.95, epsilon: 1e-4, weightDecay: 0.1, l1: 0.05 },
  { optimizer: 'adam', learningRate: 0.01, amsgrad: true },
  { optimizer: 'adamw', learningRate: 0.01 },
  { optimizer: 'adamw', learningRate: 0.01, weightDecay: 0.3, amsgrad: true },
  { optimizer: 'adagrad', learningRate: 0.1 },
  { optimizer: 'adagrad', learningRate: 0.1, epsilon: 1e-3, weightDecay: 0.1 },
];

for (const build of builds) {
  for (const options of settings) {
    test(`${build}: ${JSON.stringify(options)}`, () => {
      const { runtime, check } = guarded(build);
      const n = 5 * 7;
      const model = new Model(runtime, 0, (b) => new Embedding(b, 'e', { vocabularySize: 5, embeddingSize: 7 }));
      const next = random(3);
      const w = uniform(next, n);
      const gradients = Array.from({ length: 20 }, () => uniform(next, n));
      model.set('e.weight', w);
      const optimizer = new Optimizer(model, options);
      const want = reference(options, w, gradients);
      gradients.forEach((g, i) => {
        runtime.write(model.parameter('e.weight').grad, g);
        optimizer.step();
        close(model.get('e.weight'), want[i], 3e-6, `after step ${i + 1}`);
      });
      check();
      runtime.dispose();
    });
  }
}

test('options that mean nothing together are refused', () => {
  const { runtime } = guarded('simd');
  const model = new Model(runtime, 0, (b) => new Embedding(b, 'e', { vocabularySize: 5, embeddingSize: 7 }));
  const refused: [OptimizerOptions, RegExp][] = [
    [{ optimizer: 'adam', momentum: 0.9 }, /momentum: is not an option of the optimizer 'adam'/],
    [{ optimizer: 'sgd', beta1: 0.9 }, /beta1: is not an option of the optimizer/],
    [{ optimizer: 'sgd', nesterov: true }, /nesterov: needs momentum/],
    [
      { optimizer: 'sgd', nesterov: true, momentum: 0.9, dampening: 0.1 },
      /nesterov: needs momentum above 0 and dampening 0/,
    ],
    [{ learningRate: -1 }, /learningRate: expected a finite number of at least 0, got -1/],
    [{ learningRate: Number.NaN }, /learningRate/],
    [{ beta2: 1 }, /beta2: expected a number below 1, got 1/],
    [{ optimizer: 'adan' as 'adam' }, /optimizer: expected .*did you mean 'adam'/],
  ];
  for (const [options, message] of refused) throws(() => new Optimizer(model, options), message);
});

test.run();
