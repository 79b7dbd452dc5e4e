/** `npm run example -- NAME`: one example for each use of a recurrent network, on real data. */
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { Terminal } from '../cli/terminal.js';
import type { Example } from './support/stage.js';
import { Stage } from './support/stage.js';

/** Loaded on demand, because each loads its own data. */
const examples: Record<string, () => Promise<{ example: Example }>> = {
  'classify-language': () => import('./classify-language.js'),
  'classify-mood': () => import('./classify-mood.js'),
  'tag-words': () => import('./tag-words.js'),
  'translate-dates': () => import('./translate-dates.js'),
  'spell-phones': () => import('./spell-phones.js'),
  'answer-questions': () => import('./answer-questions.js'),
  'write-like': () => import('./write-like.js'),
  adapt: () => import('./adapt.js'),
  'copy-memory': () => import('./copy-memory.js'),
  dynamics: () => import('./dynamics.js'),
  compose: () => import('./compose.js'),
  'forecast-benchmark': () => import('./forecast-benchmark.js'),
  'forecast-co2': () => import('./forecast-co2.js'),
  'forecast-many': () => import('./forecast-many.js'),
  'forecast-weather': () => import('./forecast-weather.js'),
  online: () => import('./online.js'),
  'caption-shapes': () => import('./caption-shapes.js'),
  'word-breaks': () => import('./word-breaks.js'),
  pronounce: () => import('./pronounce.js'),
  'char-rnn': () => import('./char-rnn.js'),
  'clone-amp': () => import('./clone-amp.js'),
  rnnoise: () => import('./rnnoise.js'),
  textgenrnn: () => import('./textgenrnn.js'),
  'voice-activity': () => import('./voice-activity.js'),
  'enhance-speech': () => import('./enhance-speech.js'),
  'audio-worklet': () => import('./audio-worklet.js'),
};

const HELP = `npm run example -- NAME [options]

  --out FOLDER   where pictures and files are written   default results/NAME
  --seed N       the same seed gives the same result    default 1
  --model PATH   the weights, for examples of published models

Each takes at most three minutes on two slow cores. The exit code is 0 if all metrics reach their targets.
`;

async function list(): Promise<string> {
  const lines = await Promise.all(
    Object.entries(examples).map(async ([name, load]) => `  ${name.padEnd(20)} ${(await load()).example.title}`),
  );
  return `${HELP}\n${lines.join('\n')}\n`;
}

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      out: { type: 'string' },
      seed: { type: 'string' },
      model: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  });
  const [name, ...words] = positionals;
  if (name === undefined) {
    console.log(await list());
    return 0;
  }
  if (!Object.hasOwn(examples, name)) {
    console.error(`${name}: no such example; expected one of ${Object.keys(examples).join(', ')}`);
    return 1;
  }
  const { example } = await examples[name]();
  if (values.help) {
    console.log(`npm run example -- ${[name, example.usage].join(' ').trim()}\n\n${example.title}\n`);
    return 0;
  }
  if (values.model !== undefined && !example.usage?.includes('--model')) {
    console.error(`--model: ${name} has no published weights`);
    return 1;
  }
  if (words.length && !example.usage) {
    console.error(`${words[0]}: ${name} takes no arguments`);
    return 1;
  }
  const seed = Number(values.seed ?? 1);
  if (values.seed?.trim() === '' || !Number.isSafeInteger(seed) || seed < 0) {
    console.error(`--seed: expected a whole number of at least 0, got '${values.seed}'`);
    return 1;
  }
  const stop = new AbortController();
  const terminal = new Terminal(10);
  const onSignal = () => {
    if (stop.signal.aborted) process.exit(130);
    stop.abort();
  };
  process.on('SIGINT', onSignal);
  const stage = new Stage(values.out ?? join('results', name), words, seed, stop.signal, terminal, values.model);
  console.log(`${name}: ${example.title}`);
  try {
    await example.run(stage);
  } catch (error) {
    if (!stop.signal.aborted) throw error;
    terminal.stop();
    console.log('Stopped.');
    return 130;
  } finally {
    terminal.stop();
    process.off('SIGINT', onSignal);
  }
  console.log(`  ${stage.seconds.toFixed(0)} s`);
  return stage.missed ? 1 : 0;
}

try {
  process.exitCode = await main();
} catch (error) {
  console.error((error as Error).message);
  process.exitCode = 1;
}
