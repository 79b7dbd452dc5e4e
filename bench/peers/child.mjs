/** One peer at one workload in a process of its own: checked, warmed, then timed whenever it is asked. */
import { readFileSync } from 'node:fs';
import { deserialize } from 'node:v8';
import { clock } from '../../build/bench/clock.js';
import { disagreement } from '../../build/bench/peers/workloads.js';

/** Relative to the largest number; fewer bits have a limit of their own. */
const TOLERANCE = 1e-4;
const WARM_MS = 600;
const SAMPLE_MS = 120;

const [adapter, options, file] = process.argv.slice(2);
let work;
let count = 1;

/** CPU time: wall times differ from turn to turn on a busy machine. Another process reports its own. */
async function time(n) {
  if (work.time) return work.time(n);
  const began = clock();
  await work.run(n);
  return clock() - began;
}

async function start() {
  const { workload, numbers, expected } = deserialize(readFileSync(file));
  const { prepare } = await import(`./adapters/${adapter}.mjs`);
  work = await prepare(workload, numbers, JSON.parse(options));
  const { error, name } = disagreement(await work.results(), expected);
  if (!(error <= (work.tolerance ?? TOLERANCE)))
    throw new Error(`does not agree: ${name} off by ${error.toPrecision(2)} of the largest number`);
  let ms = await time(1);
  for (let runs = 1, spent = 0; spent < WARM_MS || runs < 3; runs += count) {
    count = Math.max(1, Math.ceil(SAMPLE_MS / 4 / Math.max(ms, 1e-3)));
    const took = await time(count);
    ms = took / count;
    spent += took;
  }
  count = Math.max(1, Math.ceil(SAMPLE_MS / ms));
  return { note: work.note ?? '', engine: work.engine };
}

/** A sample, after a few runs that bring the caches back. */
async function sample() {
  await work.run(Math.floor(count / 8));
  return { ms: (await time(count)) / count };
}

process.on('message', async (question) => {
  let answer;
  try {
    answer = question === 'start' ? await start() : await sample();
  } catch (error) {
    answer = { error: error?.message ?? String(error) };
  }
  process.send({ ...answer, maxRss: work?.maxRss?.() ?? process.resourceUsage().maxRSS });
});
process.on('disconnect', () => process.exit());
