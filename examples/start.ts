/** `npm start`: trains a character language model and generates text. */
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { LanguageModel, type LanguageModelFitOptions } from 'gatewise/tasks';
import { mobyDick, readText } from './support/book.js';
import { checkWritable, writeWhole } from './support/files.js';
import { clock, short, Terminal } from './support/terminal.js';

const HELP = `Trains a character language model on text, and generates text.

  npm start                              train on Moby Dick for about half a minute
  npm start -- train [FILE...] [options] train on files
  npm start -- sample MODEL [options]    generate text with a trained model
  npm start -- train --help
  npm start -- sample --help
`;

const TRAIN_HELP = `npm start -- train [FILE...] [options]

Trains on the files, one after the other, or on Moby Dick. The last 10 % are used for validation.
Ctrl-C stops after the running step and saves.

  --steps N            number of updates; with --resume, N more   default 700
  --out MODEL          where the model is saved                   default model.safetensors
  --resume MODEL       resume a saved training, with its options and its place in the text
  --cell NAME          rnn, lstm, gru or residual                 default lstm
  --hidden H           units of a layer                           default 128
  --layers L           recurrent layers                           default 1
  --embedding E        features of a character                    default 64
  --batch B            sequences per batch                        default 16
  --window T           characters per sequence                    default 64
  --learning-rate R    of Adam                                    default 0.004
  --clip N             largest norm of the gradients; 0: no limit default 1
  --seed N             the same seed gives the same model         default 1
  --build NAME         simd or relaxed (fused multiply-add)       default simd
  --sample-every N     steps between two samples; 0: none         default a fifth of the steps
`;

const SAMPLE_HELP = `npm start -- sample MODEL [options]

  --prompt TEXT        the text to continue
  --length N           characters to generate                     default 500
  --temperature T      lower is less random, 0 is greedy          default 0.8
  --top-k K            sample from the K most probable; 0: all    default 0
  --top-p P            sample from the most probable that sum to P default 1
  --seed N             the same seed gives the same text          default: random
`;

/** A mistake in the arguments: only the message is printed. */
class Usage extends Error {}

const string = { type: 'string' } as const;
const help = { type: 'boolean', default: false } as const;

function numeric(name: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const value = Number(text);
  if (text.trim() === '' || !Number.isFinite(value)) throw new Usage(`--${name}: expected a number, got '${text}'`);
  return value;
}

async function loadModel(path: string, build?: 'simd' | 'relaxed'): Promise<LanguageModel> {
  let bytes: Uint8Array;
  try {
    bytes = await readFile(path);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    throw new Usage(
      code === 'ENOENT' ? `${path}: the file does not exist; train a model first` : `${path}: ${message}`,
    );
  }
  try {
    return await LanguageModel.load(bytes, { build });
  } catch (error) {
    throw new Usage(`${path}: ${(error as Error).message}`);
  }
}

async function train(args: string[]): Promise<void> {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      steps: string,
      out: string,
      resume: string,
      cell: string,
      hidden: string,
      layers: string,
      embedding: string,
      batch: string,
      window: string,
      'learning-rate': string,
      clip: string,
      seed: string,
      build: string,
      'sample-every': string,
      help,
    },
  });
  if (values.help) return console.log(TRAIN_HELP);
  const number = (name: keyof typeof values) => numeric(name, values[name] as string | undefined);
  const steps = number('steps') ?? 700;
  const sampleEvery = number('sample-every') ?? Math.max(1, Math.floor(steps / 5));
  const out = values.out ?? values.resume ?? 'model.safetensors';
  await checkWritable(out);

  const text = positionals.length ? (await Promise.all(positionals.map(readText))).join('\n') : mobyDick();
  const cut = Math.floor(text.length * 0.9);
  const build = values.build as 'simd' | 'relaxed' | undefined;
  let lm: LanguageModel;
  if (values.resume) {
    const fixed = (['cell', 'hidden', 'layers', 'embedding', 'seed'] as const).filter(
      (name) => values[name] !== undefined,
    );
    if (fixed.length) throw new Usage(`--${fixed[0]}: cannot be combined with --resume: the saved model determines it`);
    lm = await loadModel(values.resume, build);
  } else {
    lm = await LanguageModel.create({
      vocabulary: text,
      cell: (values.cell ?? 'lstm') as 'lstm',
      hiddenSize: number('hidden') ?? 128,
      numLayers: number('layers') ?? 1,
      embeddingSize: number('embedding') ?? 64,
      seed: number('seed') ?? 1,
      build,
    });
  }
  const before = lm.training;
  const stop = new AbortController();
  const options: LanguageModelFitOptions = {
    ...before?.options,
    steps,
    batchSize: number('batch') ?? before?.batchSize ?? 16,
    window: number('window') ?? before?.window ?? 64,
    learningRate: number('learning-rate') ?? before?.options.learningRate ?? 4e-3,
    clipNorm: number('clip') ?? 1,
    signal: stop.signal,
  };
  const { cell, hiddenSize, numLayers } = lm.config;
  const parameters = lm.model.parameters.reduce((n, p) => n + p.size, 0);
  console.log(
    `${cell} ${numLayers}×${hiddenSize}, ${parameters.toLocaleString('en')} parameters, ${lm.vocabulary.size} characters, ` +
      `${text.length.toLocaleString('en')} of text, ${lm.runtime.build} build`,
  );
  if (before) console.log(`Resuming after step ${before.steps}.`);

  const terminal = new Terminal();
  const onSignal = () => {
    if (stop.signal.aborted) process.exit(130);
    stop.abort();
  };
  process.on('SIGINT', onSignal);
  let step = before?.steps ?? 0;
  const first = step;
  const files = positionals.map((path) => `${path} `).join('');
  try {
    const run = lm.fit(text.slice(0, cut), options);
    for await (const p of run) {
      step = p.step;
      const parts = [
        `loss ${p.loss.toFixed(3)} nats, ${p.bits.toFixed(3)} bits/char`,
        `${short(p.tokensPerSecond)} char/s`,
        `gradient ${p.gradientNorm.toFixed(2)}`,
        `${clock(p.secondsLeft)} left`,
      ];
      terminal.update(p.step - first, steps, parts.join('  '));
      if (sampleEvery && p.step % sampleEvery === 0 && p.step < p.steps) {
        terminal.log(
          `\nstep ${p.step}: ${(await lm.generate({ length: 160, temperature: 0.8, seed: p.step })).trim()}\n`,
        );
      }
    }
    terminal.stop();
    process.off('SIGINT', onSignal);
    const { bits, loss } = await lm.evaluate(text.slice(cut));
    console.log(`\nvalidation ${bits.toFixed(2)} bits/char (${loss.toFixed(4)} nats)`);
    console.log(`\n${(await lm.generate({ length: 500, temperature: 0.8, seed: 0 })).trim()}\n`);
    await writeWhole(out, lm.save());
    console.log(`Saved to ${out}. To generate text, or to resume the training:`);
    console.log(`  npm start -- sample ${out} --prompt "Call me" --temperature 0.7`);
    console.log(`  npm start -- train ${files}--resume ${out} --steps ${steps}`);
  } catch (error) {
    terminal.stop();
    if (!stop.signal.aborted) throw error;
    await writeWhole(out, lm.save());
    const left = first + steps - step;
    console.log(`\nStopped after step ${step}, saved to ${out}. To make the remaining ${left} steps:`);
    console.log(`  npm start -- train ${files}--resume ${out} --steps ${left}`);
    process.exitCode = 130;
  }
}

async function sample(args: string[]): Promise<void> {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      prompt: string,
      length: string,
      temperature: string,
      'top-k': string,
      'top-p': string,
      seed: string,
      help,
    },
  });
  if (values.help) return console.log(SAMPLE_HELP);
  if (positionals.length !== 1) throw new Usage(`sample: expected one model, got ${positionals.length}`);
  const number = (name: keyof typeof values) => numeric(name, values[name] as string | undefined);
  const lm = await loadModel(positionals[0]);
  const { prompt } = values;
  const text = lm.generate({
    prompt,
    length: number('length') ?? 500,
    temperature: number('temperature') ?? 0.8,
    topK: number('top-k') ?? 0,
    topP: number('top-p') ?? 1,
    seed: number('seed') ?? Date.now(),
  });
  if (prompt) process.stdout.write(prompt);
  for await (const part of text) process.stdout.write(part);
  process.stdout.write('\n');
}

async function main(): Promise<void> {
  const [command, ...rest] = process.argv.slice(2);
  if (command === '--help' || command === '-h' || command === 'help') console.log(HELP);
  else if (command === 'sample') await sample(rest);
  else if (command === 'train') await train(rest);
  else if (command === undefined || command.startsWith('-')) await train(process.argv.slice(2));
  else {
    const near = existsSync(command)
      ? `; to train on that file: npm start -- train ${command}`
      : '; expected train or sample';
    throw new Usage(`${command}: no such command${near}`);
  }
}

try {
  await main();
} catch (error) {
  console.error((error as Error).message);
  process.exitCode = 1;
}
