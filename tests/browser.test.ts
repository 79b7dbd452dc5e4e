/**
 * In a page: the package as npm would install it, built by Vite without any configuration, trains in headless Chromium and gives the
 * same bits as Node, while the page stays alive.
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import { equal, is, ok } from 'uvu/assert';
import { build } from 'vite';
import { decode } from '#dist/bindings/core/start.js';
import { type Outcome, trainOnce } from './browser/train.js';
import { hasChromium, launch } from './support/chromium.js';
import { serve } from './support/serve.js';

const root = fileURLToPath(new URL('../..', import.meta.url));
const site = join(root, 'build/browser');
const PAGE = `<!doctype html><meta charset="utf-8"><link rel="icon" href="data:,"><title>gatewise</title><pre id="log">…</pre>
<script type="module" src="/main.js"></script>`;
const MAIN = `import { trainOnce, trainLong } from './train.js';
const log = document.getElementById('log');
const show = (step, loss) => { log.textContent = step + ' ' + loss.toFixed(4); };
/** Longest time in which the page could not answer, during work, and how long that took. */
async function alive(work) {
  let last = performance.now(), longest = 0, done = false;
  const tick = () => { const now = performance.now(); longest = Math.max(longest, now - last); last = now; if (!done) setTimeout(tick); };
  tick();
  const began = last;
  await work();
  done = true;
  return { longest, total: performance.now() - began };
}
trainOnce(show).then(
  async (outcome) => { log.textContent = outcome.text; window.outcome = { ...outcome, ...(await alive(trainLong)) }; },
  (error) => { window.outcome = { error: String(error) }; },
);`;

/** The files that npm would publish, in a node_modules of the page. */
function install(): void {
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
  cpSync(join(root, 'build/tests/browser/train.js'), join(site, 'train.js'));
  writeFileSync(join(site, 'index.html'), PAGE);
  writeFileSync(join(site, 'main.js'), MAIN);
  writeFileSync(join(site, 'package.json'), '{"type":"module"}');
}

let built = false;

test('the package is built by Vite without configuration, the wasm inside the JavaScript', async () => {
  install();
  await build({ root: site, configFile: false, logLevel: 'error' });
  const assets = readdirSync(join(site, 'dist/assets'));
  ok(assets.length > 0 && assets.every((name) => name.endsWith('.js')), assets.join());
  built = true;
});

test('a page in Chromium trains to the same bits as Node, and stays alive', async () => {
  ok(built);
  if (!hasChromium()) return;
  const here = await trainOnce();
  const { url, close } = await serve(join(site, 'dist'));
  const chrome = await launch();
  try {
    const page = await chrome.newPage();
    const problems: string[] = [];
    page.on('pageerror', (error) => problems.push(String(error)));
    page.on('console', (message) => message.type() === 'error' && problems.push(message.text()));
    await page.goto(url);
    // not waitForFunction, which the policy forbids
    let there: (Outcome & { error?: string; longest: number; total: number }) | undefined;
    for (let left = 600; !there && left > 0; left--) {
      await page.waitForTimeout(100);
      there = await page.evaluate('window.outcome');
    }
    if (!there) throw new Error(`the page did not finish: ${problems}`);
    is(there.error, undefined);
    equal(problems, []);
    equal(there.losses, here.losses);
    is(there.text, here.text);
    is(there.digest, here.digest);
    ok(
      there.longest > 0 && there.longest < there.total / 4,
      `did not answer for ${there.longest} of ${there.total} ms`,
    );
    console.log(
      `  Chromium ${chrome.version()}: same bits; answered within ${there.longest.toFixed(0)} ms while it trained for ${there.total.toFixed(0)} ms`,
    );
  } finally {
    await chrome.close();
    close();
  }
});

test('the separate wasm files are the bytes inside the JavaScript', async () => {
  for (const name of ['simd', 'relaxed', 'infer', 'functions', 'memory', 'quantized', 'online']) {
    const text: string = (await import(`#dist/bindings/core/wasm/${name}.js`)).default;
    const file = readFileSync(fileURLToPath(import.meta.resolve(`gatewise/${name}.wasm`)));
    is(createHash('sha256').update(decode(text)).digest('hex'), createHash('sha256').update(file).digest('hex'));
  }
});

test.run();
