/** `gatewise sample`: generates text with a language model. */
import { type Command, parse, UsageError } from './arguments.js';
import { loadLanguageModel } from './models.js';

export const SAMPLE = {
  name: 'sample',
  usage: 'MODEL [options]',
  summary: 'generate text with a trained language model',
  about: 'Generates text, from a prompt or from the beginning of a line.',
  flags: {
    prompt: { kind: 'text', value: 'TEXT', help: 'the text to continue' },
    length: { kind: 'whole', value: 'N', help: 'tokens to generate', default: '500' },
    temperature: {
      kind: 'real',
      value: 'T',
      help: 'lower is less random, 0 is greedy',
      default: '0.8',
    },
    'top-k': { kind: 'whole', value: 'K', help: 'sample from the K most probable; 0: from all', default: '0' },
    'top-p': {
      kind: 'real',
      high: 1,
      value: 'P',
      help: 'sample from the most probable that sum to P',
      default: '1',
    },
    seed: { kind: 'whole', value: 'N', help: 'the same seed gives the same text', default: 'random' },
  },
} satisfies Command;

export async function sample(args: readonly string[]): Promise<void> {
  const { values, files } = parse(SAMPLE, args);
  if (files.length !== 1) throw new UsageError(`sample: expected one model, got ${files.length}`);
  const lm = await loadLanguageModel(files[0]);
  const { prompt } = values;
  const text = lm.generate({
    prompt,
    length: values.length ?? 500,
    temperature: values.temperature ?? 0.8,
    topK: values['top-k'] ?? 0,
    topP: values['top-p'] ?? 1,
    seed: values.seed ?? Date.now(),
  });
  if (prompt) process.stdout.write(prompt);
  for await (const part of text) process.stdout.write(part);
  process.stdout.write('\n');
}
