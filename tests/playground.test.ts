/** The playground in a real browser: every task trains, its views work, axe-core has nothing to report, and nothing is loaded from elsewhere. */
import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Forecaster, LanguageModel, SequenceClassifier, SequenceTagger } from 'gatewise/tasks';
import type { Page } from 'playwright-core';
import { test } from 'uvu';
import { equal, is, match, ok } from 'uvu/assert';
import { hasChromium, launch } from './support/chromium.js';
import { serve } from './support/serve.js';

const root = fileURLToPath(new URL('../..', import.meta.url));
const folder = join(root, 'build/playground-test');
const node = (...args: string[]) => execFileSync(process.execPath, args, { cwd: root, encoding: 'utf8' });

test('its types are right', () => {
  node('node_modules/typescript/bin/tsc', '-p', 'playground');
});

test('--help and mistakes', () => {
  match(node('tools/playground.mjs', '--help'), /npm run build:playground \[-- --out FOLDER\]/);
});

if (hasChromium()) {
  node('tools/playground.mjs', '--build', '--out', folder);
  const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
  const browser = await launch();
  const { url, close } = await serve(folder);
  const elsewhere: string[] = [];

  const open = async (viewport = { width: 1280, height: 900 }, colorScheme: 'light' | 'dark' = 'light') => {
    const page = await browser.newPage({ viewport, colorScheme });
    page.on('request', (request) => {
      if (!/^(blob|data):/.test(request.url()) && !request.url().startsWith(url)) elsewhere.push(request.url());
    });
    page.on('pageerror', (error) => elsewhere.push(error.message));
    await page.goto(url);
    return page;
  };
  const trained = async (page: Page) => {
    await page.click('#train');
    await page.waitForFunction(
      () =>
        document.querySelectorAll('#figures tbody td:nth-child(6)').length > 0 &&
        [...document.querySelectorAll('#figures tbody td:nth-child(6)')].every((cell) =>
          /\d/.test(cell.textContent ?? ''),
        ),
      null,
      { timeout: 60_000 },
    );
  };
  const tab = async (page: Page, name: string) => {
    await page.click(`#tab-${name}`);
    await page.waitForFunction((id) => (document.getElementById(id)?.children.length ?? 0) > 0, `panel-${name}`);
  };
  /** What axe-core reports, and what is wider than the page. */
  const faults = async (page: Page) => {
    await page.evaluate(axe);
    const found: string[] = await page.evaluate(async () => {
      const { violations } = await (
        globalThis as unknown as {
          axe: { run(): Promise<{ violations: { id: string; nodes: { html: string }[] }[] }> };
        }
      ).axe.run();
      return violations.map(({ id, nodes }) => `${id}: ${nodes[0].html}`);
    });
    const wide = await page.evaluate(() => document.documentElement.scrollWidth > document.documentElement.clientWidth);
    return [...found, ...(wide ? ['the page is wider than the window'] : [])];
  };

  /** That the program of the page runs, and makes a model of as many parameters. Its data are the sample of the page. */
  const FILES = {
    write: ['novel.txt', 'text.txt'],
    classify: ['languages.tsv', 'lines.tsv'],
    tag: ['novel.txt', 'text.txt'],
    forecast: ['co2.csv', 'series.csv'],
  } as const;
  const runs = async (page: Page, task: keyof typeof FILES) => {
    await tab(page, 'code');
    const parameters = Number((await page.textContent('#figures tbody td:nth-child(2)'))?.replace(/,/g, ''));
    const text = (await page.textContent('#panel-code pre')) ?? '';
    const own = join(root, 'build/playground-code', task);
    mkdirSync(own, { recursive: true });
    const [from, to] = FILES[task];
    cpSync(join(folder, from), join(own, to));
    const entry = new URL('../../dist/tasks.js', import.meta.url).href;
    // three steps are enough
    const short = text.replace(/(epochs|steps): \d+/, 'steps: 3').replace("'gatewise/tasks'", `'${entry}'`);
    writeFileSync(join(own, 'program.mjs'), short);
    const printed = execFileSync(process.execPath, ['program.mjs'], { cwd: own, encoding: 'utf8' });
    match(printed, /^1 \d+\.\d{4}\n$/);
    const models = { write: LanguageModel, classify: SequenceClassifier, tag: SequenceTagger, forecast: Forecaster };
    const { model } = await models[task].load(readFileSync(join(own, 'model.safetensors')));
    is(
      model.parameters.reduce((sum, { size }) => sum + size, 0),
      parameters,
    );
  };

  test('writing: two cells side by side, every view, pause, one step, another learning rate', async () => {
    const page = await open();
    equal(await faults(page), []);
    await page.check('[value=gru]');
    await trained(page);
    is(await page.locator('#figures tbody tr').count(), 2);
    await page.click('#pause');
    await page.waitForTimeout(300);
    const steps = async () => Number((await page.textContent('#figures tbody tr td:nth-child(3)'))?.replace(/,/g, ''));
    const before = await steps();
    await page.click('#step');
    await page.waitForFunction(
      (n) =>
        Number(document.querySelector('#figures tbody tr td:nth-child(3)')?.textContent?.replace(/,/g, '')) === n + 1,
      before,
    );
    await page.fill('#rate', '-2');
    is(await page.textContent('#rate-shown'), '0.010');
    await page.click('#step');
    await page.waitForFunction(
      (n) =>
        Number(document.querySelector('#figures tbody tr td:nth-child(3)')?.textContent?.replace(/,/g, '')) === n + 2,
      before,
    );
    for (const name of ['samples', 'gates', 'units', 'gradient-flow', 'weights', 'code', 'benchmark']) {
      await tab(page, name);
      equal(await faults(page), [], name);
    }
    await tab(page, 'gates');
    await page.waitForSelector('#panel-gates canvas');
    await page.focus('#panel-gates canvas');
    await page.keyboard.press('ArrowRight');
    await page.keyboard.press('ArrowDown');
    match((await page.textContent('.reading')) ?? '', /^character 2 “.”, unit 2: f = 0\.\d+$/);
    await page.fill('#panel-gates input', 'the sea');
    await page.waitForFunction(() => document.querySelectorAll('#panel-gates .axis span').length === 7);
    await tab(page, 'code');
    match(
      (await page.textContent('#panel-code pre')) ?? '',
      /LanguageModel\.create\(\{\s+vocabulary: tokens,\s+cell: 'lstm', hiddenSize: 96[\s\S]*learningRate: 0\.01 \}/,
    );
    is(await page.textContent('#error'), '');
    await page.close();
  });

  test('a model is saved, loaded and trained on', async () => {
    const page = await open();
    await page.fill('#hidden', '16');
    await trained(page);
    await runs(page, 'write');
    const [download] = await Promise.all([page.waitForEvent('download'), page.click('#save')]);
    is(download.suggestedFilename(), 'write-lstm.safetensors');
    const path = await download.path();
    await page.setInputFiles('#load', { name: 'model.safetensors', mimeType: '', buffer: readFileSync(path) });
    await page.waitForFunction(() => /Loaded/.test(document.getElementById('status')?.textContent ?? ''));
    is(await page.inputValue('#hidden'), '16');
    // it shows what it does before it is trained on
    await page.waitForSelector('#panel-samples .text');
    is(await page.locator('#figures tbody tr').count(), 0);
    await trained(page);
    await page.setInputFiles('#load', { name: 'x.safetensors', mimeType: '', buffer: Buffer.from('nothing') });
    await page.waitForFunction(() =>
      /x\.safetensors: not a model of this page\. Expected/.test(document.getElementById('error')?.textContent ?? ''),
    );
    await page.close();
  });

  for (const [task, file, broken] of [
    ['classify', 'a\tone two\nb\tthree four\n'.repeat(40), 'no label'],
    ['tag', 'the cat sat on the mat and the dog lay down '.repeat(60), 'too short'],
    ['forecast', Array.from({ length: 150 }, (_, t) => `${t},${Math.sin(t / 2)}`).join('\n'), 'no numbers'],
  ] as const) {
    test(`${task}: the sample, a file of one's own, a file that does not fit`, async () => {
      const page = await open();
      const drop = (text: string) =>
        page.setInputFiles('#file', { name: 'own.txt', mimeType: 'text/plain', buffer: Buffer.from(text) });
      await page.selectOption('#task', task);
      await page.fill('#hidden', '24');
      await trained(page);
      ok(await page.textContent('#panel-samples'));
      equal(await faults(page), []);
      await tab(page, 'gates');
      await page.waitForSelector('#panel-gates canvas');
      is(await page.locator('#panel-gates .wide').count(), task === 'forecast' ? 0 : 1);
      match(
        (await page.textContent('.reading')) ?? '',
        /^(character 1 “.”|step -35 \(409\.91 ppm\)), unit 1: f = \d\.\d+$/,
      );
      is(await page.locator('#panel-gates option[value="f backward in time"]').count(), task === 'tag' ? 1 : 0);
      equal(await faults(page), []);
      await runs(page, task);
      await page.click('#reset');
      await drop(file);
      await trained(page);
      await page.click('#reset');
      await drop(broken);
      await page.click('#train');
      await page.waitForFunction(() => /^The data: expected/.test(document.getElementById('error')?.textContent ?? ''));
      ok(await page.isEnabled('#train'));
      await page.close();
    });
  }

  test('every cell trains for the same seconds, and continues for as many', async () => {
    const page = await open();
    await page.selectOption('#task', 'forecast');
    await page.check('[value=mingru]');
    await page.fill('#hidden', '16');
    await page.fill('#seconds', '1');
    for (let time = 0; time < 2; time++) {
      await page.click('#train');
      await page.waitForFunction(
        () => document.getElementById('status')?.textContent?.startsWith('Paused after'),
        null,
        { timeout: 60_000 },
      );
      ok(await page.isDisabled('#pause'));
    }
    const seconds = await page.locator('#figures tbody td:nth-child(4)').allTextContents();
    is(seconds.length, 2);
    for (const own of seconds) ok(Number(own) >= 2, own);
    await page.close();
  });

  test('a file that is not text, and one that is dropped while a model trains, change nothing', async () => {
    const page = await open();
    const says = (text: string) =>
      page.waitForFunction((part) => document.getElementById('error')?.textContent?.includes(part), text);
    const give = (selector: string, name: string, buffer: Buffer) =>
      page.setInputFiles(selector, { name, mimeType: '', buffer });
    await give('#file', 'photo.png', Buffer.from(Array.from({ length: 5000 }, (_, i) => (i * 7919) % 256)));
    await says('photo.png: not a text in UTF-8.');
    await give('#file', 'empty.txt', Buffer.from(''));
    await says('empty.txt: the file is empty.');
    ok(await page.isHidden('#sample'));
    await give('#file', 'own.txt', Buffer.from('a cat and a dog. '.repeat(200)));
    is(await page.textContent('#error'), '');
    await page.click('#sample');
    match((await page.textContent('#data-note')) ?? '', /Moby Dick/);
    await page.fill('#hidden', '8');
    await trained(page);
    // what was trained stays
    await give('#load', 'x.safetensors', Buffer.from(''));
    await says('x.safetensors: not a model of this page');
    is(await page.locator('#figures tbody tr').count(), 1);
    await page.evaluate(() => {
      const data = new DataTransfer();
      data.items.add(new File(['another text'], 'later.txt'));
      document.body.dispatchEvent(new DragEvent('drop', { dataTransfer: data, bubbles: true }));
    });
    await says('later.txt: press New model first');
    await page.close();
  });

  test('a file is dropped, and stays for a model that is loaded', async () => {
    const page = await open();
    await page.evaluate(() => {
      const data = new DataTransfer();
      data.items.add(new File(['a cat and a dog. '.repeat(200)], 'own.txt'));
      document.body.dispatchEvent(new DragEvent('drop', { dataTransfer: data, bubbles: true }));
    });
    await page.waitForFunction(() =>
      /own\.txt, 3,400 char/.test(document.getElementById('data-note')?.textContent ?? ''),
    );
    await page.fill('#hidden', '8');
    await trained(page);
    const [download] = await Promise.all([page.waitForEvent('download'), page.click('#save')]);
    const buffer = readFileSync(await download.path());
    await page.setInputFiles('#load', { name: 'model.safetensors', mimeType: '', buffer });
    await page.waitForFunction(() => /Loaded/.test(document.getElementById('status')?.textContent ?? ''));
    match((await page.textContent('#data-note')) ?? '', /own\.txt/);
    is(await page.textContent('#error'), '');
    await page.close();
  });

  test('on a phone, in the dark', async () => {
    const page = await open({ width: 375, height: 740 }, 'dark');
    equal(await faults(page), []);
    await trained(page);
    for (const name of ['samples', 'gates', 'units', 'gradient-flow', 'weights', 'code', 'benchmark']) {
      await tab(page, name);
      equal(await faults(page), [], name);
    }
    await page.close();
  });

  test('the benchmark measures every build', async () => {
    const page = await open();
    await page.click('#panel-benchmark button');
    await page.waitForSelector('#panel-benchmark pre', { timeout: 120_000 });
    const text = (await page.textContent('#panel-benchmark pre')) ?? '';
    for (const name of ['peak of one core', 'scalar', 'LSTM, SIMD', 'int16', 'training, SIMD', 'training, 2 replicas'])
      ok(text.includes(name), name);
    equal(await faults(page), []);
    await page.close();
  });

  test('nothing came from elsewhere, and no script failed', () => {
    equal(elsewhere, []);
  });

  test.after(async () => {
    await browser.close();
    close();
  });
}

test.run();
