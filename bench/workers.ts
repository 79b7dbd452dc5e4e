/** `npm run bench:workers`: the time of a training step against the number of workers. All contestants take turns. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { LanguageModel, SequenceClassifier } from 'gatewise/tasks';
import { type Replicas, replicas } from 'gatewise/worker';
import { median, round } from './clock.js';
import { machine } from './machine.js';
import { numbers } from './numbers.js';
import { count, optionsOf, refuse } from './options.js';
import { between, type WorkersRow, workersTable } from './peers/tables.js';
import { numbers as numbersOf, type Workload, workloads } from './peers/workloads.js';

const SHARDS = 4;
/** How long a turn takes, and what comes before the first one. */
const TURN_MS = 400;
const WARM_MS = 1500;
const DOCS = new URL('../../docs/performance.md', import.meta.url);

/** Small trainings show where workers stop paying. */
const small = { task: 'characters', B: 16, T: 32, L: 1, V: 65 } as const;
const trainings: readonly Workload[] = [
  ...workloads.filter(({ task }) => task === 'characters' || task === 'classes'),
  { ...small, id: 'train-gru-1x64', cell: 'gru', I: 32, H: 64 },
  { ...small, id: 'train-lstm-1x32', cell: 'lstm', I: 16, H: 32 },
];
const chosenIds = () =>
  trainings
    .map(({ id, task, B, T, I, H, L, V }) => `  ${id.padEnd(18)} ${task}, B=${B} T=${T} I=${I} H=${H} L=${L} V=${V}`)
    .join('\n');

const HELP = `npm run bench:workers -- [--json] [--only TEXT] [--workers LIST] [--rounds N] [--write]
                         [--torch PYTHON [--threads LIST]]

Wall time of a training step, by the number of workers. Each contestant trains a model of its own; they take turns.
alone: without workers and shards, as fit does by default. 0: ${SHARDS} shards, computed one after the other. n: ${SHARDS} shards,
computed by n workers. ratio: the median time alone, divided by the median time. Run it on an idle machine.

  --json           one object per line
  --only TEXT      workloads whose id contains TEXT
  --workers LIST   numbers of workers, default 0,1,2
  --rounds N       turns of each contestant, default 9
  --write          writes the table of docs/performance.md, once all workloads have run
  --torch PYTHON   also PyTorch, by wall time: the path of a Python that can import torch
  --threads LIST   numbers of threads of PyTorch, default 1,2

${chosenIds()}
`;

const values = optionsOf(HELP, {
  json: { type: 'boolean', default: false },
  only: { type: 'string', default: '' },
  workers: { type: 'string', default: '0,1,2' },
  rounds: { type: 'string', default: '9' },
  write: { type: 'boolean', default: false },
  torch: { type: 'string' },
  threads: { type: 'string' },
});
const rounds = count('--rounds', values.rounds);
const threads = (values.threads ?? '1,2').split(',').map((text) => count('--threads', text));
const crews = values.workers.split(',').map((text) => (text === '0' ? 0 : count('--workers', text)));
const chosen = trainings.filter(({ id }) => id.includes(values.only));
if (chosen.length === 0) refuse(`--only ${values.only}: no workload has this text in its id`);
if (values.write && values.only) refuse('--write: the table has all workloads; leave out --only');
if (values.threads && !values.torch) refuse('--threads: the numbers of threads of PyTorch; give --torch PYTHON too');

/** A training that makes steps when it is asked to. */
interface Contestant {
  readonly name: string;
  /** Wall time of n steps in ms. */
  readonly run: (n: number) => Promise<number>;
  readonly end: () => Promise<void>;
}

async function train(
  { task, cell, B, T, I, H, L, V }: Workload,
  name: string,
  workers?: Replicas,
): Promise<Contestant> {
  const stack = { cell, hiddenSize: H, numLayers: L, seed: 1 } as const;
  const shards = workers ? { shards: SHARDS, workers } : {};
  let steps: AsyncIterator<unknown>;
  let end: () => void;
  if (task === 'characters') {
    const letters = Array.from({ length: V }, (_, v) => String.fromCharCode(48 + v));
    const text = Array.from(numbers(40 * B * T), (x) => letters[Math.floor(Math.abs(x) * 1e4) % V]).join('');
    const model = await LanguageModel.create({ ...stack, vocabulary: letters, embeddingSize: I });
    steps = model.fit(text, { batchSize: B, window: T, steps: 1e9, ...shards })[Symbol.asyncIterator]();
    end = () => model.dispose();
  } else {
    const classes = Array.from({ length: V }, (_, v) => `class ${v}`);
    const examples = Array.from({ length: 8 * B }, (_, i) => ({ input: numbers(T * I), label: classes[i % V] }));
    const model = await SequenceClassifier.create({ ...stack, inputSize: I, bidirectional: true, classes });
    const own = { batchSize: B, epochs: 1e6, ...shards };
    steps = model.fit(examples, own)[Symbol.asyncIterator]();
    end = () => model.dispose();
  }
  return {
    name,
    run: async (n) => {
      const began = performance.now();
      for (let i = 0; i < n; i++) await steps.next();
      return performance.now() - began;
    },
    end: async () => {
      await steps.return?.();
      end();
      workers?.dispose();
    },
  };
}

async function pytorch(workload: Workload, n: number): Promise<Contestant> {
  const adapter = fileURLToPath(new URL('../../bench/peers/adapters/torch.mjs', import.meta.url));
  mkdirSync(new URL('../../build/peers/', import.meta.url), { recursive: true });
  const { prepare } = await import(adapter);
  const work = await prepare(workload, numbersOf(workload), { python: values.torch, threads: n, wall: true });
  versions.add(work.engine);
  const name = `PyTorch, ${n} thread${n === 1 ? '' : 's'}`;
  return { name, run: (steps) => work.time(steps), end: async () => work.end() };
}

/** Runs it until it is warm; returns the steps of a turn. */
async function warm(own: Contestant): Promise<number> {
  await own.run(2);
  let steps = 1;
  let ms = await own.run(steps);
  for (let spent = ms; spent < WARM_MS; spent += ms) {
    steps = Math.max(1, Math.round((steps * TURN_MS) / Math.max(ms, 0.1)));
    ms = await own.run(steps);
  }
  return Math.max(1, Math.round((steps * TURN_MS) / Math.max(ms, 0.1)));
}

const versions = new Set<string>();
const all: WorkersRow[] = [];
if (!values.json) {
  console.log(`${machine()}, ${availableParallelism()} cores; wall time per step, ${rounds} rounds in turns\n`);
  console.log('id                  workers                      ms      ratio to alone');
}
for (const workload of chosen) {
  const contestants = [await train(workload, 'alone')];
  for (const n of crews) contestants.push(await train(workload, String(n), replicas(n)));
  if (values.torch) for (const n of threads) contestants.push(await pytorch(workload, n));
  const counts: number[] = [];
  for (const own of contestants) counts.push(await warm(own));
  const times: number[][] = contestants.map(() => []);
  for (let r = 0; r < rounds; r++) {
    const order = contestants.map((_, i) => i);
    for (const i of r % 2 ? order.reverse() : order) times[i].push((await contestants[i].run(counts[i])) / counts[i]);
  }
  for (const [i, { name, end }] of contestants.entries()) {
    const ms = median(times[i]);
    const row = { id: workload.id, who: name, ms: Number(ms.toPrecision(4)), ratio: round(median(times[0]) / ms, 2) };
    all.push(row);
    console.log(
      values.json
        ? JSON.stringify(row)
        : `${row.id.padEnd(20)}${name.padEnd(24)}${ms.toFixed(2).padStart(8)}${row.ratio.toFixed(2).padStart(12)}`,
    );
    await end();
  }
}
if (values.write) {
  const about = { machine: machine(), versions: [...versions], rounds, cores: availableParallelism() };
  writeFileSync(DOCS, between(readFileSync(DOCS, 'utf8'), 'workers', workersTable(all, about)));
  console.error('wrote docs/performance.md');
}
process.exit();
