/** One batch on two processes, on one, and in gatewise: the same training. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { farthest, lossesOf, torchrun } from './torchrun.mjs';
import { losses, trainings } from './trainings.mjs';

export const title = '20 steps: 2 processes of 4 sequences, 1 process of 8 and gatewise have the same losses to 1e-5';
export const needs = 'torch';
export const modules = ['torch', 'safetensors'];
const STEPS = 20;

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
      const log = at(`losses-${ranks}`);
      const options = {
        model: at('start'),
        data: at('data'),
        output: at(`trained-${ranks}`),
        losses: log,
        steps: STEPS,
      };
      await t.py([...torchrun(t, ranks, { ...options, 'learning-rate': 5e-3 }), ...training.arguments]);
      const d = farthest(lossesOf(log), own);
      t.check(`${training.name}: ${ranks} process${ranks > 1 ? 'es' : ''} as gatewise`, d <= 1e-5, d.toExponential(1));
    }
  }
}
