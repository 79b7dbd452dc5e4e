/**
 * What people meet where the library cannot run, in the engines themselves: no SIMD, no memory, a policy that forbids WebAssembly, a page of
 * HTML instead of a module or of a worker, a worker that dies, two copies of the library.
 */
import { execFile } from 'node:child_process';
import { cpSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { Runtime } from 'gatewise';
import { test } from 'uvu';
import { equal, is, match } from 'uvu/assert';
import { hasChromium, launch } from './support/chromium.js';
import { serve } from './support/serve.js';

const root = fileURLToPath(new URL('../..', import.meta.url));
const dist = new URL('../../dist/', import.meta.url).href;

/** A page, with a copy of the library. */
const site = join(root, 'build/failures');
rmSync(site, { recursive: true, force: true });
mkdirSync(site, { recursive: true });
cpSync(join(root, 'dist'), join(site, 'gatewise'), { recursive: true });

/** What a program prints in a Node with other options. */
async function node(options: readonly string[], code: string): Promise<string> {
  const program = `import * as gatewise from '${dist}index.js';
const said = async (work) => { try { await work(); return 'nothing failed'; } catch ({ name, message }) { return name + ': ' + message; } };
${code}`;
  const args = [...options, '--input-type=module', '--eval', program];
  return (await promisify(execFile)(process.execPath, args, { cwd: root })).stdout.trim();
}

test('no SIMD: the error names the versions of engines that have it', async () => {
  // without these instructions V8 has no SIMD
  if (process.arch !== 'x64') return console.log('  SKIPPED: SIMD can be turned off on x64 only');
  for (const how of ['create', 'createSync']) {
    const said = await node(['--no-enable-sse4-1'], `console.log(await said(async () => gatewise.Runtime.${how}()));`);
    match(said, /^UnsupportedError: .*this engine has no SIMD/);
    for (const name of ['Chrome has it since 91', 'Firefox since 89', 'Safari since 16.4', 'Node since 16.4'])
      match(said, name);
  }
});

test('out of memory: a MemoryError, and what was there still works', async () => {
  const said = await node(
    ['--wasm-max-mem-pages=600'],
    `const { Model, Linear, Runtime, input, read } = gatewise;
const runtime = await Runtime.create();
const model = (size) => new Model(runtime, 1, (b) => ({ head: new Linear(b, 'head', { inputSize: size, outputSize: size }) }));
const small = model(4);
const run = () => small.forward((tape, { head }) => [...read(tape, head.forward(tape, input(tape, [1, 2, 3, 4], { T: 1, B: 1, F: 4 })))].join());
const before = run();
console.log(await said(() => model(4096)));
console.log(run() === before, run().split(',').length);`,
  );
  match(said, /^MemoryError: /);
  match(said, /\ntrue 4$/);
});

test('a page of HTML instead of the module is named', async () => {
  const page = new TextEncoder().encode('<!doctype html><title>404</title>');
  for (const make of [() => Runtime.create({ module: page }), async () => Runtime.createSync({ module: page })]) {
    const error = await make().catch((error: Error) => error);
    is((error as Error).name, 'UnsupportedError');
    match((error as Error).message, 'HTML page');
  }
});

test('two copies of the library: each trains with the same bits, they read the same files, and layers that are mixed are named', async () => {
  const said = await node(
    [],
    `const other = await import('${pathToFileURL(join(site, 'gatewise/index.js'))}');
console.log(other.Model !== gatewise.Model);
const make = async ({ Model, Recurrent, Runtime }) =>
  new Model(await Runtime.create(), 1, (b) => ({ rnn: new Recurrent(b, 'rnn', { cell: 'lstm', inputSize: 2, hiddenSize: 4 }) }));
const step = (model, { input, mseLoss, Optimizer }) => {
  const optimizer = new Optimizer(model, { optimizer: 'adam' });
  model.valueAndGrad((tape, { rnn }) => mseLoss(tape, rnn.forward(tape, input(tape, [1, 2], { T: 1, B: 1, F: 2 })).output, [1, 2, 3, 4]));
  optimizer.step();
  return gatewise.saveWeights(model).join();
};
const [own, theirs, mixed] = [await make(gatewise), await make(other), await make(other)];
console.log(step(own, gatewise) === step(theirs, other));
other.loadWeights(theirs, gatewise.saveWeights(own));
console.log(gatewise.saveWeights(own).join() === other.saveWeights(theirs).join());
console.log(await said(() => step(mixed, gatewise)));`,
  );
  equal(said.split('\n').slice(0, 3), ['true', 'true', 'true']);
  match(said.split('\n')[3], /^TypeError: tape: expected the tape of a pass of this copy of gatewise/);
});

const PAGE = `<!doctype html><meta charset="utf-8"><link rel="icon" href="data:,"><script type="module" src="main.js"></script>`;
const MAIN = `import { Runtime } from './gatewise/index.js';
import { inWorker } from './gatewise/worker.js';
const said = async (work) => { try { await work(); return 'nothing failed'; } catch ({ name, message }) { return name + ': ' + message; } };
const tiny = { vocabulary: 'ab', hiddenSize: 4 };
const found = { core: await said(() => Runtime.create()) };
if (location.hash === '#worker') {
  found.html = await said(() => inWorker('LanguageModel', { url: '/missing.js' }).create(tiny));
  found.dies = await said(async () => {
    const model = await inWorker('LanguageModel', { url: '/dies.js' }).create(tiny);
    await model.fit('abab');
  });
}
window.outcome = found;`;
const DIES = `postMessage({ ready: 1 });
onmessage = ({ data: { id, what } }) => {
  if (what === 'make') postMessage({ id, value: { config: {}, methods: ['fit'], vocabularies: [] } });
  else setTimeout(() => { throw new Error('a fault of its own'); });
};`;

if (hasChromium()) {
  for (const [file, text] of Object.entries({ 'index.html': PAGE, 'main.js': MAIN, 'dies.js': DIES }))
    writeFileSync(join(site, file), text);
  const browser = await launch();
  const outcome = async (url: string): Promise<Record<string, string>> => {
    const page = await browser.newPage();
    await page.goto(url);
    for (let left = 600; left > 0; left--) {
      const found = (await page.evaluate('window.outcome')) as Record<string, string> | undefined;
      if (found) return found;
      await page.waitForTimeout(100);
    }
    throw new Error('the page did not finish');
  };

  test('a policy that forbids WebAssembly: the error names the directive', async () => {
    const { url, close } = await serve(site, [], { wasm: false });
    const { core } = await outcome(url);
    close();
    match(core, /^UnsupportedError: .*content security policy needs 'wasm-unsafe-eval' in script-src/);
  });

  test('in a page: a worker file that is a page of HTML, and a worker that dies', async () => {
    const { url, close } = await serve(site, [], { html: true });
    const { core, html, dies } = await outcome(`${url}#worker`);
    close();
    is(core, 'nothing failed');
    match(html, /^WorkerError: the worker of LanguageModel could not be started .*gatewise\/worker-thread\.js/);
    match(dies, /^WorkerError: the worker of LanguageModel has ended: .*a fault of its own/);
  });

  test.after(() => browser.close());
}

test.run();
