/** `gatewise train`: trains a language model on text files; saves it as it goes, and when it is told to stop. */
import { resolve } from 'node:path';
import { CELL_NAMES, type CellName } from 'gatewise';
import { LanguageModel, type LanguageModelFitOptions, type LanguageModelProgress } from 'gatewise/tasks';
import { type Command, type Parsed, parse, quoted, UsageError } from './arguments.js';
import { checkWritable, readText, writeWhole } from './files.js';
import { loadLanguageModel } from './models.js';
import { clock, short, Terminal } from './terminal.js';

export const TRAIN = {
  name: 'train',
  usage: 'FILE... [options]',
  summary: 'train a language model on text files',
  about: `Trains on the files, one after the other, and saves the model. The last part of the text is kept for validation.
Ctrl-C, SIGTERM and SIGHUP stop after the running step, save, and say how to resume.

With --patience or --validate-every, the model is validated while it trains, and MODEL has the best weights at the end.
A training that was stopped keeps them in MODEL too, and continues from its last step.`,
  flags: {
    steps: { kind: 'whole', low: 1, value: 'N', help: 'number of updates; with --resume, N more', default: '700' },
    out: { kind: 'text', value: 'MODEL', help: 'where the model is saved', default: 'model.safetensors' },
    force: { kind: 'flag', help: 'replaces a file that exists already' },
    resume: {
      kind: 'text',
      value: 'MODEL',
      help: 'resume a saved training, with its options and its place in the text',
    },
    cell: {
      kind: 'choice',
      choices: CELL_NAMES,
      value: 'NAME',
      help: 'what the recurrent layers are made of',
      default: 'lstm',
    },
    hidden: { kind: 'whole', low: 1, value: 'H', help: 'units of a layer', default: '128' },
    layers: { kind: 'whole', low: 1, value: 'L', help: 'recurrent layers', default: '1' },
    embedding: { kind: 'whole', low: 1, value: 'E', help: 'features of a character', default: '64' },
    batch: { kind: 'whole', low: 1, value: 'B', help: 'sequences per batch', default: '16' },
    window: { kind: 'whole', low: 1, value: 'T', help: 'characters per sequence', default: '64' },
    'learning-rate': { kind: 'real', value: 'R', help: 'of Adam', default: '0.004' },
    clip: { kind: 'real', value: 'N', help: 'largest norm of the gradients; 0: no limit', default: '1' },
    seed: { kind: 'whole', value: 'N', help: 'the same seed gives the same model', default: '1' },
    build: {
      kind: 'choice',
      choices: ['simd', 'relaxed'],
      value: 'NAME',
      help: 'relaxed uses fused multiply-add',
      default: 'simd',
    },
    validation: {
      kind: 'real',
      high: 0.9,
      value: 'SHARE',
      help: 'share of the text to validate on; 0: none',
      default: '0.1',
    },
    'validate-every': {
      kind: 'whole',
      low: 1,
      value: 'N',
      help: 'steps between two validations; keeps the best model',
      default: 'at the end only',
    },
    patience: {
      kind: 'whole',
      low: 1,
      value: 'N',
      help: 'stop after N validations without a better one',
      default: 'no such limit',
    },
    'save-every': { kind: 'real', value: 'SECONDS', help: 'seconds between two checkpoints; 0: none', default: '60' },
    'sample-every': {
      kind: 'whole',
      value: 'N',
      help: 'steps between two samples; 0: none',
      default: 'a fifth of the steps',
    },
  },
} satisfies Command;

/** Where the command line is used. */
export interface TrainContext {
  /** What is typed before a command. */
  readonly program: string;
  /** The text to train on where no file is named. */
  readonly builtIn?: { readonly name: string; read(): string };
}

type Values = Parsed<typeof TRAIN.flags>['values'];

/** Determined by the model that is resumed. */
const FIXED = ['cell', 'hidden', 'layers', 'embedding', 'seed'] as const;
/** What has to be given again when the training is resumed: the file of a model does not keep it. */
const REPEATED = ['build', 'clip', 'validation', 'validate-every', 'patience', 'save-every', 'sample-every'] as const;
const SIGNALS = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 } as const;
type StopSignal = keyof typeof SIGNALS;

/** Where the model is saved. @throws UsageError where a file would be replaced, or cannot be written */
async function placeOf({ out, resume, force }: Values): Promise<string> {
  const path = out ?? resume ?? 'model.safetensors';
  const own = resume !== undefined && resolve(resume) === resolve(path);
  if ((await checkWritable(path)) && !force && !own) {
    throw new UsageError(
      `${path}: exists already; --force replaces it, --resume ${quoted(path)} continues it, --out names another file`,
    );
  }
  return path;
}

/** The text to learn, and the text to validate on. */
function split(text: string, share: number): { learned: string; kept: string } {
  let cut = text.length - Math.floor(text.length * share);
  if (/^[\udc00-\udfff]/.test(text.slice(cut, cut + 1))) cut++; // not within a character
  return { learned: text.slice(0, cut), kept: text.slice(cut) };
}

/** How a line of the text begins: two words, or a few characters. */
function promptFrom(text: string): string {
  const lines = text
    .slice(0, 20_000)
    .split('\n')
    .map((line) => line.trim());
  const [words] = /^\S+ \S+/.exec(lines.find((line) => /^\p{L}\S* \S/u.test(line)) ?? '') ?? [];
  return [...(words ?? lines.find(Boolean) ?? '')].slice(0, 24).join('');
}

async function createModel(text: string, values: Values): Promise<LanguageModel> {
  const build = values.build as 'simd' | 'relaxed' | undefined;
  if (values.resume !== undefined) {
    const fixed = FIXED.find((name) => values[name] !== undefined);
    if (fixed) throw new UsageError(`--${fixed}: cannot be combined with --resume: the saved model determines it`);
    return await loadLanguageModel(values.resume, { build });
  }
  return await LanguageModel.create({
    vocabulary: text,
    cell: (values.cell ?? 'lstm') as CellName,
    hiddenSize: values.hidden ?? 128,
    numLayers: values.layers ?? 1,
    embeddingSize: values.embedding ?? 64,
    seed: values.seed ?? 1,
    build,
  });
}

/** The signal that asks to stop, once there is one. */
interface Halt {
  signal: StopSignal | null;
  /** Ends what can be ended within a step. */
  readonly aborted: AbortSignal;
  /** Leaves signals to Node again. */
  release(): void;
}

function haltOnSignals(): Halt {
  const stop = new AbortController();
  let at = 0;
  const onSignal = (signal: StopSignal) => {
    // a terminal that closes sends more than one signal; only a later Ctrl-C ends the program without saving
    if (halt.signal && signal === 'SIGINT' && performance.now() - at > 1000) process.exit(SIGNALS.SIGINT);
    halt.signal ??= signal;
    at ||= performance.now();
    stop.abort();
  };
  const names = Object.keys(SIGNALS);
  const halt: Halt = {
    signal: null,
    aborted: stop.signal,
    release: () => names.forEach((name) => process.off(name, onSignal)),
  };
  for (const name of names) process.on(name, onSignal);
  return halt;
}

/** A sample of a model, from where a line begins; of a text without lines, from its end. */
async function sampleOf(lm: LanguageModel, learned: string, length: number, seed: number): Promise<string> {
  const prompt = lm.vocabulary.has('\n') ? '\n' : [...learned.slice(-2)].slice(-1);
  return (await lm.generate({ prompt, length, temperature: 0.8, seed })).trim();
}

/** What a step says about the training. */
function lineOf(p: LanguageModelProgress): string {
  const parts = [
    `loss ${p.loss.toFixed(3)} nats, ${p.bits.toFixed(3)} bits/char`,
    `${short(p.tokensPerSecond)} char/s`,
    `gradient ${p.gradientNorm.toFixed(2)}`,
    `${clock(p.secondsLeft)} left`,
  ];
  return parts.join('  ');
}

/** Trains until the steps are made, the patience is at its end, or a signal comes. */
export async function train(args: readonly string[], { program, builtIn }: TrainContext): Promise<void> {
  const { values, files } = parse(TRAIN, args);
  if (!files.length && !builtIn) {
    throw new UsageError(`train: expected a text file to train on, say: ${program} train book.txt`);
  }
  const { patience, validation: share = 0.1, steps = 700 } = values;
  const out = await placeOf(values);
  const text = files.length ? (await Promise.all(files.map(readText))).join('\n') : (builtIn?.read() ?? '');
  const parts = split(text, share);
  const { learned } = parts;
  // one character predicts nothing
  const kept = [...parts.kept.slice(0, 4)].length > 1 ? parts.kept : '';
  const keepsBest = patience !== undefined || values['validate-every'] !== undefined;
  if (keepsBest && !kept) {
    throw new UsageError(
      '--validation: expected a share of the text with at least two characters, to keep the best model',
    );
  }
  const lm = await createModel(text, values);
  const before = lm.training;
  const first = before?.steps ?? 0;
  const batchSize = values.batch ?? before?.batchSize ?? 16;
  const window = values.window ?? before?.window ?? 64;
  const epoch = Math.floor(learned.length / (batchSize * window));
  const validateEvery = values['validate-every'] ?? Math.max(1, Math.min(epoch, Math.floor(steps / 10)));
  const sampleEvery = values['sample-every'] ?? Math.max(1, Math.floor(steps / 5));
  const saveEvery = (values['save-every'] ?? 60) * 1000;
  const halt = haltOnSignals();
  const options: LanguageModelFitOptions = {
    ...before?.options,
    steps,
    batchSize,
    window,
    learningRate: values['learning-rate'] ?? before?.options.learningRate ?? 4e-3,
    clipNorm: values.clip ?? 1,
    signal: halt.aborted,
    ...(keepsBest ? { validation: kept, validateEvery, patience } : {}),
  };
  const { cell, hiddenSize, numLayers } = lm.config;
  console.log(
    `${cell} ${numLayers}×${hiddenSize}, ${lm.summary().parameters.toLocaleString('en')} parameters, ` +
      `${lm.vocabulary.size} characters, ${text.length.toLocaleString('en')} of text, ${lm.runtime.build} build`,
  );
  if (first) console.log(`Resuming after step ${first}.`);

  /** The command that makes the remaining steps. */
  const resumeCommand = (left: number) => {
    const again = REPEATED.flatMap((name) => (values[name] === undefined ? [] : [`--${name}`, String(values[name])]));
    const words = ['train', ...files, '--resume', out, '--steps', String(left), ...again];
    return `  ${program} ${words.map(quoted).join(' ')}`;
  };

  const terminal = new Terminal();
  const run = lm.fit(learned, options);
  let failure: Error | null = null;
  let ended = false;
  try {
    let saved = performance.now();
    for await (const p of run) {
      terminal.update(p.step - first, p.steps - first, lineOf(p));
      if (p.warning) terminal.log(`warning: ${p.warning.message}`);
      if (p.validation) {
        const { report, best } = p.validation;
        const which = best ? ', the best so far' : '';
        terminal.log(`validation after step ${p.step}: ${report.bits.toFixed(3)} bits/char${which}`);
      }
      if (sampleEvery && p.step % sampleEvery === 0 && p.step < p.steps) {
        terminal.log(`\nstep ${p.step}: ${await sampleOf(lm, learned, 160, p.step)}\n`);
      }
      if (saveEvery && performance.now() - saved >= saveEvery && p.step < p.steps) {
        await writeWhole(out, lm.save()).catch((error) => terminal.log(`${error.message}; the training continues`));
        saved = performance.now();
      }
    }
    ended = true;
  } catch (error) {
    // the model is as the last whole step left it
    failure = error === halt.aborted.reason ? null : (error as Error);
    if (failure && (lm.training?.steps ?? 0) === first) throw failure;
  } finally {
    terminal.stop();
  }
  const step = lm.training?.steps ?? 0;
  // those of a run that patience ended are not left
  const left = ended ? 0 : first + steps - step;
  // a signal ended the last validation
  const restored = !ended && left === 0 ? lm.restoreBest() : null;
  await writeWhole(out, lm.save());
  halt.release();
  if (failure || left > 0) {
    console.log(`\nStopped after step ${step}, saved to ${out}. To make the remaining ${left} steps:`);
    console.log(resumeCommand(left));
    if (failure) throw failure;
    process.exitCode = halt.signal ? SIGNALS[halt.signal] : 1;
    return;
  }
  const history = ended ? await run : null;
  const best = history?.best?.step ?? restored;
  if (history?.stopped) console.log(`\nStopped after step ${step}: ${patience} validations without a better one.`);
  if (kept) {
    const { bits, loss } = await lm.evaluate(kept);
    const which = best === null ? '' : `, the model after step ${best}`;
    console.log(`\nvalidation ${bits.toFixed(2)} bits/char (${loss.toFixed(4)} nats)${which}`);
  }
  console.log(`\n${await sampleOf(lm, learned, 500, 0)}\n`);
  console.log(`Saved to ${out}. To generate text, or to resume the training:`);
  console.log(`  ${program} sample ${quoted(out)} --prompt ${quoted(promptFrom(learned))} --temperature 0.7`);
  console.log(resumeCommand(steps));
}
