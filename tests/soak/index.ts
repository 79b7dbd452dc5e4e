/** `npm run test:soak`: trains, asks, streams, saves, loads and disposes models of all tasks for as long as one likes; memory stays flat. */

import { parseArgs } from 'node:util';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { Runtime } from 'gatewise';
import { type AnyTask, subjects } from '../fuzz/subjects.js';

const HELP = `npm run test:soak -- [options]

  --minutes M   default 10; at least 1
  --help        this text

All tasks in turns: steps of training, steps of a stream, predictions; every other model is made on a shared runtime, saved, loaded and
disposed. Every tenth of the time it prints the memory of the process, of the shared runtime, and of the models that stay.
It fails where bytes in use have grown, or the process by more than 16 MiB since the fifth line.
The last line is "N passed, N failed".
`;
const MiB = 2 ** 20;
setFlagsFromString('--expose-gc');
const gc = runInNewContext('gc') as () => void;

const { values } = parseArgs({
  options: { minutes: { type: 'string', default: '10' }, help: { type: 'boolean', default: false } },
});

interface Counts {
  steps: number;
  streamed: number;
  models: number;
}

/** A model that stays, and the stream that it reads. */
interface Kept {
  readonly task: AnyTask;
  readonly stream: ReturnType<NonNullable<AnyTask['stream']>> | undefined;
}

async function round(kept: Record<string, Kept>, shared: Runtime, counts: Counts): Promise<void> {
  for (const [
    name,
    { Task, options, data, inputs, fit, evaluate, start, opening = start, step, generate },
  ] of Object.entries(subjects)) {
    const { task, stream } = kept[name];
    for (let i = 0; i < 10; i++) for await (const _ of task.fit(data(), fit)) counts.steps++;
    for (let i = 0; stream && i < 100; i++, counts.streamed++) stream.step(step);
    await task.predict(inputs(), start);
    await task.evaluate(data(), evaluate);
    if (generate) await task.generate?.(...generate());
    // one that comes and goes, on the shared runtime and on its own
    for (const own of [{ runtime: shared }, {}]) {
      const fresh = Task.createSync({ ...options(), ...own });
      await fresh.fit(data(), fit);
      const again = Task.loadSync(fresh.save(), own);
      if (step !== undefined) again.stream?.(undefined, opening).clone();
      fresh.dispose();
      again.dispose();
      counts.models += 2;
    }
  }
}

async function resident(): Promise<number> {
  for (let i = 0; i < 5; i++) {
    gc();
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return process.memoryUsage().rss / MiB;
}

async function main(): Promise<void> {
  if (values.help) {
    process.stdout.write(HELP);
    return;
  }
  const minutes = Number(values.minutes);
  if (!(minutes >= 1)) throw new Error(`--minutes: expected a number of at least 1, got ${values.minutes}`);
  const shared = await Runtime.create();
  const kept: Record<string, Kept> = {};
  for (const [name, { Task, options, data, fit, start, opening = start, step }] of Object.entries(subjects)) {
    const task = Task.createSync(options());
    await task.fit(data(), fit);
    kept[name] = { task, stream: step === undefined ? undefined : task.stream?.(undefined, opening) };
  }
  const inUse = () =>
    shared.memory().bytesInUse + Object.values(kept).reduce((n, { task }) => n + task.runtime.memory().bytesInUse, 0);
  const counts: Counts = { steps: 0, streamed: 0, models: 0 };
  await round(kept, shared, counts);
  const bytes = inUse();
  const lines: number[] = [];
  let bad = 0;
  const began = performance.now();
  for (let tenth = 1; tenth <= 10; tenth++) {
    while (performance.now() - began < minutes * 6000 * tenth) await round(kept, shared, counts);
    const rss = await resident();
    lines.push(rss);
    const now = inUse();
    if (now !== bytes) bad++;
    const { bytesReserved } = shared.memory();
    console.log(
      `${(minutes * tenth) / 10} min: ${counts.steps} steps, ${counts.streamed} of streams, ${counts.models} models; process ${rss.toFixed(1)} MiB, ` +
        `shared runtime ${bytesReserved} bytes, in use ${now} (${bytes} at first)`,
    );
  }
  const grown = lines[lines.length - 1] - lines[4];
  console.log(`process: ${grown.toFixed(1)} MiB more than after the fifth line`);
  if (grown > 16) bad++;
  console.log(`${11 - bad} passed, ${bad} failed`);
  process.exitCode = bad ? 1 : 0;
}

try {
  await main();
} catch (error) {
  console.error((error as Error).message);
  process.exitCode = 1;
}
