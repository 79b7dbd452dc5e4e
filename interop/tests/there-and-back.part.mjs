/** A training that leaves for PyTorch and comes back is the training that never left: the optimizer's moments travel with it. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { farthest, lossesOf, torchrun } from './torchrun.mjs';
import { language, losses, text } from './trainings.mjs';

export const title = 'gatewise 10 steps, PyTorch 10, gatewise 10: PyTorch 30 within 1e-5';
export const needs = 'torch';
export const modules = ['torch', 'safetensors'];
const rate = { learningRate: 5e-3 };
const OPTIMIZERS = {
  'sgd, cosine': { optimizer: 'sgd', learningRate: 0.5, schedule: { kind: 'cosine', steps: 10, warmup: 3 } },
  'sgd, momentum': { optimizer: 'sgd', learningRate: 0.2, momentum: 0.9, nesterov: true, weightDecay: 1e-3 },
  'rmsprop, step': {
    optimizer: 'rmsprop',
    learningRate: 2e-3,
    centered: true,
    momentum: 0.5,
    schedule: { kind: 'step', every: 3, factor: 0.5 },
  },
  'adamw, plateau': {
    optimizer: 'adamw',
    learningRate: 5e-3,
    weightDecay: 0.1,
    amsgrad: true,
    schedule: { kind: 'plateau', factor: 0.5, patience: 0, every: 2, threshold: 0.5 },
  },
  adagrad: { optimizer: 'adagrad', learningRate: 2e-2 },
};

export default async function (t) {
  const training = language();
  const at = (name) => join(t.folder, name);
  writeFileSync(at('text'), text);
  const train = (from, to, steps) => {
    const options = { model: at(from), data: at('text'), output: at(to), losses: at(`${to}.losses`), steps };
    return t.py([...torchrun(t, 1, { ...options, 'learning-rate': rate.learningRate }), ...training.arguments]);
  };
  const model = await training.create();
  writeFileSync(at('start'), model.save());
  const first = await losses(training.fit(model, 10, rate));
  writeFileSync(at('left'), model.save());
  await train('left', 'returned', 10);
  await train('start', 'stayed', 30);
  const stayed = lossesOf(at('stayed.losses'));
  const back = await training.load(readFileSync(at('returned')));
  const last = await losses(training.fit(back, 10, rate));
  const d = farthest([...first, ...lossesOf(at('returned.losses')), ...last], stayed);
  t.check('the losses of all 30 steps', d <= 1e-5, d.toExponential(1));

  const other = await training.load(readFileSync(at('stayed')));
  const weights = back.model.parameters.map(({ name }) => farthest(back.model.get(name), other.model.get(name)));
  t.check('the weights after them', Math.max(...weights) <= 1e-5, Math.max(...weights).toExponential(1));

  // what it would be without them
  const bare = await training.load(readFileSync(at('returned')));
  const weightsOnly = await training.load(bare.save({ weightsOnly: true }));
  const without = farthest(await losses(training.fit(weightsOnly, 10, rate)), stayed.slice(20));
  t.check('without the moments it is another training', without > 1e-3, without.toExponential(1));

  for (const one of [model, back, other, bare, weightsOnly]) one.dispose();

  // other optimizers, whose moments have other names, and a schedule
  for (const [name, options] of Object.entries(OPTIMIZERS)) {
    const whole = await training.create();
    const expected = await losses(training.fit(whole, 10, options));
    const half = await training.create();
    await training.fit(half, 5, options);
    writeFileSync(at(name), half.save());
    const files = { model: at(name), output: at(`${name}.out`), losses: at(`${name}.losses`) };
    await t.py([...torchrun(t, 1, { ...files, data: at('text'), steps: 5 }), ...training.arguments]);
    const far = farthest(lossesOf(at(`${name}.losses`)), expected.slice(5));
    t.check(`${name} resumes`, far <= 1e-5, far.toExponential(1));
    whole.dispose();
    half.dispose();
  }
}
