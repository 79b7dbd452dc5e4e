/** The command line: what a person sees, piped; saving, going on, Ctrl-C, and mistakes. */
import { spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import type { open } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import { is, match, not, ok } from 'uvu/assert';
import { writeWhole } from '../examples/support/files.js';
import { rejects } from './support/rejects.js';

const program = new URL('../examples/start.js', import.meta.url).pathname;
const folder = mkdtempSync(join(tmpdir(), 'gatewise-'));
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));

interface Result {
  code: number | null;
  out: string;
  err: string;
}

/** Runs the program; `interrupt` sends Ctrl-C once that has been printed. */
function start(args: string[], interrupt?: RegExp): Promise<Result> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [program, ...args], { cwd: folder });
    let out = '';
    let err = '';
    let sent = false;
    child.stdout.on('data', (data) => {
      out += data;
      if (interrupt?.test(out) && !sent) {
        sent = true;
        child.kill('SIGINT');
      }
    });
    child.stderr.on('data', (data) => {
      err += data;
    });
    child.on('close', (code) => resolve({ code, out, err }));
  });
}

const text = Array.from({ length: 900 }, (_, i) => `Line ${i} of a text.\n`).join('');
writeFileSync(join(folder, 'text.txt'), text);
const small = ['--hidden', '16', '--embedding', '8', '--batch', '4', '--window', '16'];

test('trains on a file, shows samples and validation, saves, and says how to resume', async () => {
  const { code, out, err } = await start(['train', 'text.txt', ...small, '--steps', '30', '--out', 'a.safetensors']);
  is(err, '');
  is(code, 0);
  match(out, /lstm 1×16, [\d,]+ parameters, \d+ characters, [\d,]+ of text, simd build/);
  match(out, /30\/30 loss \d\.\d+ nats, \d\.\d+ bits\/char {2}[\d.k]+ char\/s {2}gradient \d+\.\d+ {2}0:00 left/);
  match(out, /step 6: /);
  match(out, /validation \d\.\d\d bits\/char/);
  match(out, /npm start -- sample a\.safetensors/);
  match(out, /npm start -- train text\.txt --resume a\.safetensors --steps 30/);
  // biome-ignore lint/suspicious/noControlCharactersInRegex: the test is that the output has no control characters
  not.match(out, /[\x00-\x09\x0b-\x1f]/);
});

test('without a file it trains on the book', async () => {
  const { code, out, err } = await start(['--steps', '5', ...small, '--out', 'book.safetensors']);
  is(code, 0, err);
  match(out, /89 characters, 1,2\d\d,\d\d\d of text/);
  match(out, /validation \d\.\d\d bits\/char/);
});

test('writes with the model, the same text for the same seed', async () => {
  const args = ['sample', 'a.safetensors', '--prompt', 'Line 1', '--length', '80', '--top-k', '5', '--seed', '3'];
  const [a, b] = [await start(args), await start(args)];
  is(a.code, 0, a.err);
  is(a.out, b.out);
  ok(a.out.startsWith('Line 1'));
  is(a.out.length, 'Line 1'.length + 80 + 1);
});

test('going on equals never having stopped', async () => {
  const common = ['train', 'text.txt', ...small, '--sample-every', '0'];
  await start([...common, '--steps', '20', '--out', 'whole.safetensors']);
  await start([...common, '--steps', '12', '--out', 'part.safetensors']);
  const { out } = await start([
    'train',
    'text.txt',
    '--resume',
    'part.safetensors',
    '--steps',
    '8',
    '--sample-every',
    '0',
  ]);
  match(out, /Resuming after step 12\./);
  is(
    Buffer.compare(readFileSync(join(folder, 'whole.safetensors')), readFileSync(join(folder, 'part.safetensors'))),
    0,
  );
});

test('Ctrl-C stops after the running step, saves, and says how to resume', async () => {
  const args = [
    'train',
    'text.txt',
    ...small,
    '--steps',
    '100000',
    '--sample-every',
    '50',
    '--out',
    'stopped.safetensors',
  ];
  const { code, out, err } = await start(args, /step 100:/);
  is(code, 130, err);
  const [, step, left] =
    /Stopped after step (\d+), saved to stopped\.safetensors\. .* remaining (\d+) steps/.exec(out) ?? [];
  is(Number(step) + Number(left), 100000);
  match(out, new RegExp(`--resume stopped\\.safetensors --steps ${left}`));
  const again = await start(['train', 'text.txt', '--resume', 'stopped.safetensors', '--steps', '5']);
  match(again.out, new RegExp(`Resuming after step ${step}`));
});

test('--help everywhere', async () => {
  for (const args of [['--help'], ['train', '--help'], ['sample', '--help']]) {
    const { code, out } = await start(args);
    is(code, 0);
    match(out, /npm start/);
  }
});

test('mistakes are one sentence that helps, and leave nothing behind', async () => {
  writeFileSync(join(folder, 'short.txt'), 'too short');
  writeFileSync(join(folder, 'empty.txt'), '');
  writeFileSync(join(folder, 'binary.txt'), Buffer.from([0xff, 0xfe, 0x80]));
  writeFileSync(join(folder, 'broken.safetensors'), readFileSync(join(folder, 'a.safetensors')).subarray(0, 999));
  const before = readdirSync(folder).sort().join();
  const wrong: [string[], RegExp][] = [
    [['train', 'nowhere.txt'], /nowhere\.txt: the file does not exist/],
    [['train', 'short.txt'], /text: expected at least 1025 tokens/],
    [['train', 'empty.txt'], /vocabulary: the text is empty/],
    [['train', 'binary.txt'], /binary\.txt: is not UTF-8 text/],
    [['train', 'text.txt', '--hidden', 'many'], /--hidden: expected a number, got 'many'/],
    [['train', 'text.txt', '--hidden', '0'], /hiddenSize: expected a positive whole number, got 0/],
    [['train', 'text.txt', '--cell', 'lstn'], /cell: .*did you mean 'lstm'/],
    [['train', 'text.txt', '--hiden', '8'], /'--hiden'/],
    [
      ['train', 'text.txt', '--out', 'no/such/folder/m'],
      /no\/such\/folder\/m could not be written: the folder .* does not exist/,
    ],
    [
      ['train', 'text.txt', '--resume', 'none.safetensors'],
      /none\.safetensors: the file does not exist; train a model first/,
    ],
    [['train', 'text.txt', '--resume', 'broken.safetensors'], /broken\.safetensors: .*cut off/],
    [['train', 'text.txt', '--resume', 'a.safetensors', '--hidden', '9'], /--hidden: cannot be combined with --resume/],
    [['sample'], /sample: expected one model, got 0/],
    [['sample', 'a.safetensors', '--prompt', 'Ω'], /prompt: "Ω" is not in the vocabulary/],
    [['text.txt'], /text\.txt: no such command; to train on that file: npm start -- train text\.txt/],
  ];
  for (const [args, message] of wrong) {
    const { code, out, err } = await start(args);
    is(code, 1, `${args}: ${out}`);
    match(err.trim(), message);
    is(err.trim().split('\n').length, 1, err);
  }
  is(readdirSync(folder).sort().join(), before);
});

test('a disk that fills while a file is written leaves the old file and nothing else', async () => {
  const path = join(folder, 'kept.bin');
  await writeWhole(path, Uint8Array.of(1, 2, 3));
  const before = readdirSync(folder).sort().join();
  const full: typeof open = async (...args) => {
    const { open } = await import('node:fs/promises');
    const file = await open(...args);
    file.writeFile = async () => {
      await file.write(Uint8Array.of(9));
      throw Object.assign(new Error('ENOSPC'), { code: 'ENOSPC' });
    };
    return file;
  };
  await rejects(writeWhole(path, Uint8Array.of(4, 5, 6), full), /could not be written: the disk is full/);
  is(readFileSync(path).join(), '1,2,3');
  is(readdirSync(folder).sort().join(), before);
});

test.run();
