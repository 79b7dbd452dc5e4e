/** A training that leaves for PyTorch and comes back is the training that never left: the optimizer's moments travel with it. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { farthest, lossesOf, torchrun } from './torchrun.mjs';
import { language, losses, text } from './trainings.mjs';

export const title = 'gatewise 10 steps, PyTorch 10, gatewise 10: PyTorch 30 within 1e-5';
export const needs = 'torch';
export const modules = ['torch', 'safetensors'];
const rate = { learningRate: 5e-3 };

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

  // a schedule, and an optimizer without moments
  const options = { optimizer: 'sgd', learningRate: 0.5, schedule: { kind: 'cosine', steps: 30, warmup: 5 } };
  const plain = await training.create();
  const expected = await losses(training.fit(plain, 20, options));
  const half = await training.create();
  await training.fit(half, 10, options);
  writeFileSync(at('scheduled'), half.save());
  await t.py([
    ...torchrun(t, 1, {
      model: at('scheduled'),
      data: at('text'),
      output: at('scheduled.out'),
      losses: at('l'),
      steps: 10,
    }),
    ...training.arguments,
  ]);
  const s = farthest(lossesOf(at('l')), expected.slice(10));
  t.check('the schedule of the file is followed', s <= 1e-5, s.toExponential(1));
  for (const one of [model, back, other, bare, weightsOnly, plain, half]) one.dispose();
}
