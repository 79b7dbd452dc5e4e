/**
 * Runs in a page, in each browser: how the page feels while a model trains, in a worker and in the page itself, and how fast the
 * playground starts. It leaves numbers in `outcome`; pace.mjs compares them with what is stated.
 */
import { LanguageModel } from './gatewise/tasks.js';
import { inWorker } from './gatewise/worker.js';

const TEXT = 'Call me Ishmael. Some years ago, never mind how long precisely. '.repeat(200);
const FIT = { batchSize: 16, window: 64, steps: 1e9 };
const MS = 3000;
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Frames per second, the longest time between two frames and the longest task of the page, in ms, while something works. */
async function watched(work) {
  const frames = [];
  let on = true;
  const frame = (time) => {
    frames.push(time);
    if (on) requestAnimationFrame(frame);
  };
  const tasks = [0];
  const observer = PerformanceObserver.supportedEntryTypes.includes('longtask')
    ? new PerformanceObserver((list) => tasks.push(...list.getEntries().map(({ duration }) => duration)))
    : null;
  observer?.observe({ type: 'longtask' });
  requestAnimationFrame(frame);
  await work();
  await sleep(100);
  on = false;
  observer?.disconnect();
  const gaps = frames.slice(1).map((time, i) => time - frames[i]);
  const seconds = (frames[frames.length - 1] - frames[0]) / 1000;
  return { fps: gaps.length / seconds, gap: Math.max(...gaps), task: observer ? Math.max(...tasks) : null };
}

/** A training of some seconds that shows its loss. */
async function training(model) {
  const shown = document.getElementById('loss');
  const began = performance.now();
  for await (const { step, loss } of model.fit(TEXT, FIT)) {
    shown.textContent = `${step} ${loss.toFixed(4)}`;
    if (performance.now() - began > MS) break;
  }
  model.dispose();
}

const create = (task, hiddenSize) => task.create({ vocabulary: TEXT, hiddenSize, seed: 1 });

/** The playground in a frame: ms to its first paint, and from pressing Train to the first point of the loss. */
async function playground() {
  const frame = document.createElement('iframe');
  frame.style.cssText = 'width:1200px;height:900px';
  frame.src = 'playground/index.html';
  document.body.append(frame);
  await new Promise((resolve) => {
    frame.onload = resolve;
  });
  const { document: inside, performance: clock } = frame.contentWindow;
  let painted;
  for (let i = 0; i < 200 && !painted; i++) {
    await sleep(20);
    [painted] = clock.getEntriesByName('first-contentful-paint');
  }
  const began = performance.now();
  inside.getElementById('train').click();
  while (!inside.querySelector('#figures tbody td') && performance.now() - began < 20_000) await sleep(5);
  const loss = performance.now() - began;
  frame.remove();
  return { paint: painted?.startTime ?? null, loss };
}

async function measured() {
  // with fresh code the first steps are slower
  const early = await create(inWorker('LanguageModel'), 64);
  early.dispose();
  await sleep(300);
  return {
    // before trainings of the page, whose memory would be collected while others are measured
    playground: await playground(),
    worker: await watched(async () => training(await create(inWorker('LanguageModel'), 128))),
    small: await watched(async () => training(await create(LanguageModel, 64))),
    page: await watched(async () => training(await create(LanguageModel, 128))),
  };
}

measured().then(
  (found) => {
    globalThis.outcome = JSON.stringify(found);
  },
  (error) => {
    globalThis.outcome = JSON.stringify({ error: `${error.name}: ${error.message}` });
  },
);
