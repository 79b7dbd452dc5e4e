/** One batch on two processes, on one, and in gatewise: the same training. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { farthest, lossesOf, torchrun } from './torchrun.mjs';
import { losses, trainings, uneven } from './trainings.mjs';

export const title = '20 steps: 2 processes of 4 sequences, 1 process of 8 and gatewise have the same losses to 1e-5';
export const needs = 'torch';
export const modules = ['torch', 'safetensors'];
const STEPS = 20;

/** Losses of PyTorch, by the number of processes. */
async function theirs(t, at, training, ranks) {
  const losses = at(`losses-${ranks}`);
  const options = { model: at('start'), data: at('data'), output: at(`trained-${ranks}`), losses, steps: STEPS };
  await t.py([...torchrun(t, ranks, { ...options, 'learning-rate': 5e-3 }), ...training.arguments]);
  return lossesOf(losses);
}

export default async function (t) {
  for (const [i, training] of trainings.entries()) {
    const at = (name) => join(t.folder, `${i}.${name}`);
    const model = await training.create();
    writeFileSync(at('start'), model.save());
    writeFileSync(at('data'), training.data);
    const own = await losses(training.fit(model, STEPS, { learningRate: 5e-3 }));
    model.dispose();
    const falls = own.length === STEPS && own[STEPS - 1] < own[0];
    t.check(`${training.name}: gatewise learns`, falls, `${own[0].toFixed(4)} to ${own[STEPS - 1].toFixed(4)}`);
    for (const ranks of [1, 2]) {
      const d = farthest(await theirs(t, at, training, ranks), own);
      t.check(`${training.name}: ${ranks} process${ranks > 1 ? 'es' : ''} as gatewise`, d <= 1e-5, d.toExponential(1));
    }
  }
  const at = (name) => join(t.folder, `uneven.${name}`);
  const model = await uneven.create();
  writeFileSync(at('start'), model.save());
  writeFileSync(at('data'), uneven.data);
  model.dispose();
  const d = farthest(await theirs(t, at, uneven, 1), await theirs(t, at, uneven, 2));
  t.check(`${uneven.name}: 2 processes as 1`, d <= 1e-5, d.toExponential(1));
}
