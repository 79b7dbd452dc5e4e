/** A character model of tiny Shakespeare, compared with the same training in PyTorch. */
import { readFile } from 'node:fs/promises';
import { LanguageModel } from 'gatewise/tasks';
import type { Reference } from './reference.js';

interface Curve {
  /** Step, loss, norm of the gradients. */
  curve: [number, number, number][];
  evals: [number, number, number][];
}

export const charlm: Reference = {
  name: 'charlm',
  title: 'character model, LSTM 1×128, tiny Shakespeare',
  needs: [
    'data/tinyshakespeare/input.txt',
    'reference/charlm_s1.json',
    'reference/charlm_s1.init.safetensors',
    'reference/charlm_s1.final.safetensors',
  ],
  async run(path, { check, progress }) {
    const text = await readFile(path('data/tinyshakespeare/input.txt'), 'utf8');
    const cut = Math.floor(0.9 * text.length);
    const [train, validation] = [text.slice(0, cut), text.slice(cut)];
    const recipe = { batchSize: 32, window: 64, learningRate: 2e-3, clipNorm: 1 };
    const { curve, evals }: Curve = JSON.parse(await readFile(path('reference/charlm_s1.json'), 'utf8'));

    const final = await LanguageModel.load(await readFile(path('reference/charlm_s1.final.safetensors')));
    const { loss: finalLoss } = await final.evaluate(validation);
    const theirs = evals[evals.length - 1][1];
    check(
      "validation of PyTorch's final weights",
      finalLoss,
      `${theirs.toFixed(4)} ± 0.0005 nats`,
      Math.abs(finalLoss - theirs) <= 0.0005,
    );

    const init = await LanguageModel.load(await readFile(path('reference/charlm_s1.init.safetensors')));
    let worst = 0;
    for await (const { step, loss } of init.fit(train, { ...recipe, steps: 20 })) {
      worst = Math.max(worst, Math.abs(loss / curve[step - 1][1] - 1));
    }
    check("first 20 losses from PyTorch's initial weights", worst, 'within 1e-4 of theirs, relative', worst <= 1e-4);

    const own = await LanguageModel.create({ vocabulary: text, hiddenSize: 128, embeddingSize: 64, seed: 1 });
    for await (const p of own.fit(train, { ...recipe, steps: 2000 })) {
      progress(p.step, p.steps, `loss ${p.loss.toFixed(3)} nats, ${p.secondsLeft.toFixed(0)} s left`);
    }
    const { bits } = await own.evaluate(validation);
    check('validation after 2,000 steps from our own initial weights', bits, 'at most 2.46 bits/char', bits <= 2.46);
  },
};
