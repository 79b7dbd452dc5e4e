/**
 * Models in Web Workers: the package as npm would install it, in headless Chromium, built by Vite without any configuration, served by
 * Vite while one develops, and as plain files. Trainings have the same bits as in Node; how long the page could not answer is printed.
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { cpSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { LanguageModel } from 'gatewise/tasks';
import type { Browser } from 'playwright-core';
import { test } from 'uvu';
import { equal, is, match, ok } from 'uvu/assert';
import { build, createServer } from 'vite';
import { hasChromium, launch } from './support/chromium.js';
import { serve } from './support/serve.js';

const root = fileURLToPath(new URL('../..', import.meta.url));
const site = join(root, 'build/worker-page');
const OPTIONS = { vocabulary: 'abcdefgh', hiddenSize: 128, embeddingSize: 32, seed: 5 };
const FIT = { batchSize: 16, window: 64, steps: 40 };
const MAIN = `import { LanguageModel } from 'gatewise/tasks';
import { inWorker, replicas } from 'gatewise/worker';

const TEXT = 'abacadaeafagah'.repeat(300);
const options = ${JSON.stringify(OPTIONS)};
const fit = ${JSON.stringify(FIT)};
const tasks = [];
new PerformanceObserver((list) => tasks.push(...list.getEntries().map(({ duration }) => duration))).observe({ type: 'longtask' });
const sha256 = async (bytes) => Array.from(new Uint8Array(await crypto.subtle.digest('SHA-256', bytes)), (b) => b.toString(16).padStart(2, '0')).join('');

async function train() {
  await new Promise((resolve) => setTimeout(resolve, 300));
  tasks.length = 0;
  const lm = await inWorker('LanguageModel').create(options);
  let steps = 0;
  const began = performance.now();
  for await (const progress of lm.fit(TEXT, fit)) steps = progress.step;
  const seconds = (performance.now() - began) / 1000;
  const bytes = await lm.save();
  // a training that is pending when the model is disposed
  const pending = lm.fit(TEXT, { ...fit, steps: 1e9 }).catch(({ message }) => message);
  await new Promise((resolve) => setTimeout(resolve, 100));
  const long = [...tasks];
  lm.dispose();
  const here = await LanguageModel.load(bytes);
  return { steps, seconds, long, digest: await sha256(bytes), disposed: await pending, training: here.training.steps };
}
/** The same training by two workers; the digest of its bits, and how the numbers travelled. */
async function replicated() {
  const workers = replicas(2);
  const lm = await LanguageModel.create(options);
  const { workers: about } = await lm.fit(TEXT, { ...fit, steps: 10, workers });
  const texts = ['ab', 'aba', 'abac'];
  const said = async (workers) => JSON.stringify([await lm.predict(texts, { workers }), await lm.evaluate(TEXT, { workers })]);
  const same = (await said(workers)) === (await said());
  workers.dispose();
  return { digest: await sha256(lm.save()), about, same };
}
(location.hash === '#replicas' ? replicated() : train()).then((outcome) => { window.outcome = outcome; }, (error) => { window.outcome = { error: error.name + ': ' + error.message }; });`;

interface Outcome {
  readonly error?: string;
  readonly steps: number;
  readonly seconds: number;
  /** Tasks of the page of more than 50 ms, in ms, while the worker started and trained. */
  readonly long: readonly number[];
  readonly digest: string;
  readonly disposed: string;
  readonly training: number;
  readonly about: { readonly workers: number; readonly memory: string };
  readonly same?: boolean;
}

let browser: Browser;
let expected = '';

function page(folder: string, head = ''): void {
  mkdirSync(folder, { recursive: true });
  writeFileSync(
    join(folder, 'index.html'),
    `<!doctype html><meta charset="utf-8"><link rel="icon" href="data:,">${head}<script type="module" src="./main.js"></script>`,
  );
  writeFileSync(join(folder, 'main.js'), MAIN);
}

test.before(async () => {
  rmSync(site, { recursive: true, force: true });
  const target = join(site, 'node_modules/gatewise');
  mkdirSync(target, { recursive: true });
  const [{ filename }] = JSON.parse(
    execFileSync('npm', ['pack', '--json', '--ignore-scripts', '--pack-destination', site], {
      cwd: root,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    }),
  );
  execFileSync('tar', ['xzf', join(site, filename), '--strip-components=1', '-C', target]);
  page(site);
  writeFileSync(join(site, 'package.json'), '{"type":"module"}');
  const lm = await LanguageModel.create(OPTIONS);
  await lm.fit('abacadaeafagah'.repeat(300), FIT);
  expected = createHash('sha256').update(lm.save()).digest('hex');
  lm.dispose();
  // a page without a bundler
  const plain = join(site, 'plain');
  const imports = { 'gatewise/tasks': './gatewise/tasks.js', 'gatewise/worker': './gatewise/worker.js' };
  page(plain, `<script type="importmap">${JSON.stringify({ imports })}</script>`);
  cpSync(join(target, 'dist'), join(plain, 'gatewise'), { recursive: true });
  cpSync(plain, join(site, 'lost'), { recursive: true });
  rmSync(join(site, 'lost/gatewise/worker-thread.js'));
  if (hasChromium()) browser = await launch();
});

test.after(() => browser?.close());

async function visit(url: string): Promise<Outcome> {
  const tab = await browser.newPage();
  const problems: string[] = [];
  tab.on('pageerror', (error) => problems.push(String(error)));
  await tab.goto(url);
  let outcome: Outcome | undefined;
  for (let left = 600; !outcome && left > 0; left--) {
    await tab.waitForTimeout(100);
    outcome = (await tab.evaluate('window.outcome')) as Outcome | undefined;
  }
  await tab.close();
  if (!outcome) throw new Error(`the page did not finish: ${problems}`);
  return outcome;
}

function trained(where: string, outcome: Outcome): void {
  is(outcome.error, undefined);
  is(outcome.steps, FIT.steps);
  is(outcome.training, FIT.steps);
  is(outcome.digest, expected);
  is(outcome.disposed, 'this model has been disposed');
  const { long, seconds } = outcome;
  const longest = long.length ? `, the longest ${Math.max(...long).toFixed(0)} ms` : '';
  console.log(
    `  ${where}: ${long.length} tasks of more than 50 ms in the page${longest}, in ${seconds.toFixed(1)} s of training`,
  );
}

test('built by Vite without configuration', async () => {
  await build({ root: site, configFile: false, logLevel: 'error' });
  const assets = readdirSync(join(site, 'dist/assets'));
  ok(
    assets.some((name) => name.startsWith('worker-thread')),
    assets.join(),
  );
  if (!hasChromium()) return;
  const { url, close } = await serve(join(site, 'dist'));
  trained('built by Vite', await visit(url));
  close();
});

test('served by Vite while one develops', async () => {
  if (!hasChromium()) return;
  const server = await createServer({
    root: site,
    configFile: false,
    logLevel: 'error',
    cacheDir: join(site, 'cache'),
    server: { port: 0 },
  });
  await server.listen();
  trained('served by Vite', await visit(server.resolvedUrls?.local[0] ?? ''));
  await server.close();
});

test('plain files and an import map', async () => {
  if (!hasChromium()) return;
  const { url, close } = await serve(join(site, 'plain'), ["'unsafe-inline'"]);
  trained('plain files', await visit(url));
  close();
});

test('without the worker file, a policy decides whether the worker starts from its text', async () => {
  if (!hasChromium()) return;
  const allowed = await serve(join(site, 'lost'), ["'unsafe-inline'"], { more: "; worker-src 'self' blob:" });
  trained('from the text', await visit(allowed.url));
  allowed.close();
  const refused = await serve(join(site, 'lost'), ["'unsafe-inline'"]);
  const { error = '' } = await visit(refused.url);
  match(error, /^WorkerError: the worker of LanguageModel could not be started/);
  match(error, 'worker-src blob:');
  match(error, 'gatewise/worker-thread.js');
  refused.close();
});

test('replicas in a page have the bits of Node, with shared memory where the page is isolated and without it elsewhere', async () => {
  if (!hasChromium()) return;
  const lm = await LanguageModel.create(OPTIONS);
  await lm.fit('abacadaeafagah'.repeat(300), { ...FIT, steps: 10, shards: 4 });
  const digest = createHash('sha256').update(lm.save()).digest('hex');
  lm.dispose();
  for (const isolated of [true, false]) {
    const { url, close } = await serve(join(site, 'dist'), [], { isolated });
    const outcome = await visit(`${url}#replicas`);
    is(outcome.error, undefined);
    is(outcome.digest, digest);
    is(outcome.same, true, 'predict and evaluate');
    equal(outcome.about, { workers: 2, memory: isolated ? 'shared' : 'transferred' });
    close();
  }
});

test.run();
