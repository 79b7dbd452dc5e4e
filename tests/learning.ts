/**
 * `npm run test:learning`: whether Seq2Seq learns small tasks in every way its parts can be joined. Each training stops once its own
 * loss is small; what counts is the share of texts it has never seen that it then writes without a fault.
 */
import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { isMainThread, parentPort, Worker } from 'node:worker_threads';
import { Seq2Seq, type Seq2SeqOptions } from 'gatewise/tasks';
import { ALPHABET, PUZZLES, type PuzzleName, puzzle, symbols } from './support/puzzles.js';
import { learn } from './support/tasks.js';

interface Way {
  readonly title: string;
  readonly name: PuzzleName;
  readonly options: Pick<Seq2SeqOptions, 'cell' | 'context' | 'pass' | 'attention'> & { cell: keyof typeof RATES };
}

interface Outcome {
  readonly exact: number;
  readonly loss: number;
  readonly epoch: number;
  readonly seconds: number;
}

const WANTED = 0.99;

/** Learning rates of the cells. */
const RATES = { gru: 5e-3, lstm: 5e-3, rnn: 3e-3 };

const CONTEXTS = ['last', 'affine', 'mean'] as const;
const PASSES = ['state', 'input', 'both'] as const;

/**
 * Every attention, context and way of passing it with a GRU; the other cells with three pairs of context and way, which have each of
 * them once.
 */
function* ways(): Generator<Way> {
  for (const name of Object.keys(PUZZLES) as PuzzleName[]) {
    for (const cell of Object.keys(RATES) as (keyof typeof RATES)[]) {
      for (const attention of [undefined, 'dot', 'general', 'additive'] as const) {
        for (const [i, context] of CONTEXTS.entries()) {
          for (const pass of cell === 'gru' ? PASSES : [PASSES[i]]) {
            const title = `${name} ${cell} ${attention ?? 'none'} ${context} ${pass}`;
            yield { title, name, options: { cell, attention, context, pass } };
          }
        }
      }
    }
  }
}

/** Trains one and looks at what it has not seen. */
async function attempt({ name, options }: Way): Promise<Outcome> {
  const began = performance.now();
  const { seen, unseen } = puzzle(name, { n: 1100, unseen: 200, shortest: 1, longest: 5 });
  using task = await Seq2Seq.create({
    source: { vocabulary: ALPHABET, embeddingSize: 16 },
    target: symbols(name),
    embeddingSize: 16,
    hiddenSize: 64,
    seed: 1,
    ...options,
  });
  const batchSize = 32;
  const epochs = 90;
  const steps = epochs * Math.ceil(seen.length / batchSize);
  const fit = {
    epochs,
    batchSize,
    learningRate: RATES[options.cell],
    schedule: { kind: 'cosine', steps },
    enough: 0.001,
  };
  const { loss, epoch } = await learn(task, seen, fit);
  const { exact } = await task.evaluate(unseen, { maxLength: 20 });
  return { exact, loss, epoch, seconds: (performance.now() - began) / 1000 };
}

const HELP = `npm run test:learning [-- WORD...]

Trains Seq2Seq on four small tasks with texts of 1 to 5 letters, in every way its parts can be joined:

    copy, reverse, count, sort     the task; count writes how often a and b occur
    gru, lstm, rnn                 the cell
    none, dot, general, additive   the attention
    last, affine, mean             what the encoder leaves
    state, input, both             how the decoder gets it

With a GRU all of them, with the other cells last state, affine input and mean both: ${[...ways()].length} in all. Each has to write
${100 * WANTED} % of 200 texts it has not seen without a fault. Without attention a whole text goes through one vector: longer texts
would need more units and longer trainings.

With words, only those that have them all: npm run test:learning -- copy lstm none. Exits with 0 if all have learned.
`;

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { help: { type: 'boolean', default: false } },
  });
  if (values.help) {
    console.log(HELP);
    return 0;
  }
  const all = [...ways()];
  const chosen = all.filter(({ title }) => positionals.every((word) => title.split(' ').includes(word)));
  if (chosen.length === 0) {
    console.error(`no way has all of ${positionals.join(', ')}; see --help`);
    return 1;
  }
  const waiting = [...chosen];
  let passed = 0;
  let failed = 0;
  const report = ({ title }: Way, { exact, loss, epoch, seconds }: Outcome) => {
    const good = exact >= WANTED;
    if (good) passed++;
    else failed++;
    const place = `${passed + failed}/${chosen.length}`.padStart(7);
    const figures = `${(100 * exact).toFixed(1).padStart(5)} %  loss ${loss.toFixed(4)}  ${String(epoch).padStart(2)} epochs`;
    console.log(`${place} ${good ? 'ok  ' : 'FAIL'} ${title.padEnd(36)} ${figures}  ${seconds.toFixed(1)} s`);
  };
  const threads = Math.min(2, availableParallelism(), chosen.length);
  await Promise.all(
    Array.from({ length: threads }, async () => {
      const worker = new Worker(new URL(import.meta.url));
      for (let way = waiting.shift(); way; way = waiting.shift()) {
        const outcome = await new Promise<Outcome>((resolve, reject) => {
          worker.once('message', resolve).once('error', reject);
          worker.postMessage(way);
        });
        worker.removeAllListeners('error');
        report(way, outcome);
      }
      await worker.terminate();
    }),
  );
  console.log(`${passed} passed, ${failed} failed`);
  return failed ? 1 : 0;
}

if (isMainThread) process.exitCode = await main();
else parentPort?.on('message', async (way: Way) => parentPort?.postMessage(await attempt(way)));
