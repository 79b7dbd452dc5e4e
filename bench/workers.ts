/** `npm run bench:workers`: the time of a training step against the number of workers. All contestants take turns. */
import { mkdirSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { LanguageModel, SequenceClassifier } from 'gatewise/tasks';
import { type Replicas, replicas } from 'gatewise/worker';
import { median, round } from './clock.js';
import { machine } from './machine.js';
import { numbers } from './numbers.js';
import { count, optionsOf, refuse } from './options.js';
import { numbers as numbersOf, workloads } from './peers/workloads.js';

const SHARDS = 4;
/** Steps of a turn. */
const TURN_MS = 400;

const HELP = `npm run bench:workers -- [--json] [--only TEXT] [--workers LIST] [--rounds N] [--torch PYTHON [--threads N]]

Wall time of a training step, by the number of workers. Each contestant trains a model of its own; they take turns.
alone: without workers and shards, as fit does by default. 0: ${SHARDS} shards, computed one after the other. n: ${SHARDS} shards,
computed by n workers. ratio: the median over the rounds of the time alone, divided by the time in the same round.

  --json           one object per line
  --only TEXT      workloads whose id contains TEXT
  --workers LIST   numbers of workers, default 0,1,2,4
  --rounds N       turns of each contestant, default 9
  --torch PYTHON   also PyTorch, by wall time: the path of a Python that can import torch
  --threads N      threads of PyTorch, default 2
`;

const values = optionsOf(HELP, {
  json: { type: 'boolean', default: false },
  only: { type: 'string', default: '' },
  workers: { type: 'string', default: '0,1,2,4' },
  rounds: { type: 'string', default: '9' },
  torch: { type: 'string' },
  threads: { type: 'string', default: '2' },
});
const rounds = count('--rounds', values.rounds);
const threads = count('--threads', values.threads);
const crews = values.workers.split(',').map((text) => (text === '0' ? 0 : count('--workers', text)));
const chosen = workloads.filter(
  ({ id, task }) => id.includes(values.only) && (task === 'characters' || task === 'classes'),
);
if (chosen.length === 0) refuse(`--only ${values.only}: no workload has this text in its id`);

type Workload = (typeof workloads)[number];

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

async function pytorch(workload: Workload): Promise<Contestant> {
  const adapter = fileURLToPath(new URL('../../bench/peers/adapters/torch.mjs', import.meta.url));
  mkdirSync(new URL('../../build/peers/', import.meta.url), { recursive: true });
  const { prepare } = await import(adapter);
  const work = await prepare(workload, numbersOf(workload), { python: values.torch, threads });
  return { name: `${work.engine}, ${threads} threads`, run: (n) => work.time(n), end: async () => {} };
}

if (!values.json) {
  console.log(`${machine()}, ${availableParallelism()} cores; wall time per step, ${rounds} rounds in turns\n`);
  console.log('id                  workers                      ms      ratio to alone');
}
for (const workload of chosen) {
  const contestants = [await train(workload, 'alone')];
  for (const n of crews) contestants.push(await train(workload, String(n), replicas(n)));
  if (values.torch) contestants.push(await pytorch(workload));
  const counts: number[] = [];
  for (const own of contestants) {
    await own.run(3);
    counts.push(Math.max(1, Math.round(TURN_MS / ((await own.run(3)) / 3))));
  }
  const times: number[][] = contestants.map(() => []);
  for (let r = 0; r < rounds; r++) {
    for (const [i, own] of contestants.entries()) times[i].push((await own.run(counts[i])) / counts[i]);
  }
  for (const [i, { name, end }] of contestants.entries()) {
    const ms = round(median(times[i]), 2);
    const ratio = round(median(times[i].map((own, r) => times[0][r] / own)), 2);
    console.log(
      values.json
        ? JSON.stringify({ id: workload.id, workers: name, ms, ratio })
        : `${workload.id.padEnd(20)}${name.padEnd(24)}${ms.toFixed(2).padStart(8)}${ratio.toFixed(2).padStart(12)}`,
    );
    await end();
  }
}
process.exit();
