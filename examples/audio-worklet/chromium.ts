/** Builds the page with Vite, from the built package, and opens it in Chromium without a window. */
import { copyFile, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'vite';
import { launch } from '../../tests/support/chromium.js';
import { serve } from '../../tests/support/serve.js';
import type { Outcome } from './page.js';

const here = fileURLToPath(new URL('.', import.meta.url));
const root = join(here, '../../..');
/** In real time, and as fast as it goes; building and reading the weights. */
const PATIENCE = 60;

/**
 * What the page finds out with a file of weights and samples at 16 kHz.
 *
 * @throws Error for what goes wrong in the page
 */
export async function inWorklet(weights: string, samples: Float32Array): Promise<Outcome & { version: string }> {
  const site = await mkdtemp(join(tmpdir(), 'gatewise-'));
  let close = () => {};
  const chrome = await launch(['--autoplay-policy=no-user-gesture-required']);
  try {
    await copyFile(join(root, 'examples/audio-worklet/index.html'), join(here, 'index.html'));
    const dist = join(root, 'dist');
    const alias = [
      { find: /^gatewise$/, replacement: join(dist, 'index.js') },
      { find: /^gatewise\/(\w+)$/, replacement: join(dist, '$1.js') },
      { find: /^gatewise\/import\/(\w+)$/, replacement: join(dist, 'import-$1.js') },
    ];
    const output = { outDir: site, emptyOutDir: true };
    await build({ root: here, configFile: false, logLevel: 'error', resolve: { alias }, build: output });
    await copyFile(weights, join(site, 'weights.bin'));
    await writeFile(join(site, 'samples.bin'), new Uint8Array(samples.slice().buffer));
    const server = await serve(site);
    close = server.close;
    const page = await chrome.newPage();
    const problems: string[] = [];
    page.on('pageerror', (error) => problems.push(String(error)));
    page.on('console', (message) => message.type() === 'error' && problems.push(message.text()));
    await page.goto(`${server.url}?auto`);
    const end = Date.now() + 1000 * (PATIENCE + samples.length / 16_000);
    while (Date.now() < end) {
      await page.waitForTimeout(100);
      // not waitForFunction, which the policy forbids
      const outcome: (Outcome & { error?: string }) | undefined = await page.evaluate('window.outcome');
      if (outcome?.error !== undefined) throw new Error(outcome.error);
      if (outcome) return { ...outcome, version: chrome.version() };
      if (problems.length) throw new Error(problems.join('; '));
    }
    throw new Error('the page did not finish');
  } finally {
    close();
    await chrome.close();
    await rm(site, { recursive: true });
  }
}
