/** One training, the same in a page and in Node: a page must give the very bits that Node gives. */
import { LanguageModel } from 'gatewise/tasks';

export interface Outcome {
  /** SHA-256 of the saved model. */
  digest: string;
  text: string;
  losses: number[];
}

const TEXT = Array.from({ length: 300 }, (_, i) => `The ${i}th of ${i * 7} ships sailed. `).join('');

export async function trainOnce(onStep: (step: number, loss: number) => void = () => {}): Promise<Outcome> {
  const lm = await LanguageModel.create({ vocabulary: TEXT, hiddenSize: 37, numLayers: 2, embeddingSize: 11, seed: 5 });
  const losses: number[] = [];
  for await (const { step, loss } of lm.fit(TEXT, { batchSize: 5, window: 33, steps: 40, learningRate: 5e-3 })) {
    losses.push(loss);
    onStep(step, loss);
  }
  const text = await lm.generate({ prompt: 'The', length: 200, temperature: 0.7, topP: 0.9, seed: 1 });
  const hash = await crypto.subtle.digest('SHA-256', lm.save());
  const digest = Array.from(new Uint8Array(hash), (b) => b.toString(16).padStart(2, '0')).join('');
  return { digest, text, losses };
}

/** Work for a second or so. */
export async function trainLong(): Promise<void> {
  const lm = await LanguageModel.create({ vocabulary: TEXT, hiddenSize: 96, embeddingSize: 32 });
  await lm.fit(TEXT, { batchSize: 16, window: 32, steps: 100 });
}
