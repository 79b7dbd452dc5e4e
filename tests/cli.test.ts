/** The command line, as a person uses it: spawned processes, what they print, and what they leave behind. */
import { type ChildProcess, spawn } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import type { open } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { CELL_NAMES } from 'gatewise';
import * as tasks from 'gatewise/tasks';
import { test } from 'uvu';
import { equal, is, match, not, ok, throws } from 'uvu/assert';
import { parse } from '../cli/arguments.js';
import { writeWhole } from '../cli/files.js';
import { TRAIN } from '../cli/train.js';
import { rejects } from './support/rejects.js';
import { same } from './support/tasks.js';

const root = fileURLToPath(new URL('../..', import.meta.url));
const program = join(root, 'dist/cli.js');
const npmStart = join(root, 'build/examples/start.js');
const folder = mkdtempSync(join(tmpdir(), 'gatewise-'));
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
const at = (name: string) => join(folder, name);
const listed = () => readdirSync(folder).sort().join();
const bytes = (name: string) => readFileSync(at(name));

interface Result {
  code: number | null;
  out: string;
  err: string;
}

interface How {
  /** The program, dist/cli.js by default. */
  file?: string;
  /** Standard input. */
  input?: string | Uint8Array;
  /** Called with all that has been printed, each time that something is. */
  watch?: (out: string, child: ChildProcess) => void;
}

function run(args: readonly string[], { file = program, input, watch }: How = {}): Promise<Result> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [file, ...args], { cwd: folder });
    let out = '';
    let err = '';
    child.stdout.on('data', (data) => {
      out += data;
      watch?.(out, child);
    });
    child.stderr.on('data', (data) => {
      err += data;
    });
    child.stdin.on('error', () => {});
    child.stdin.end(input);
    child.on('close', (code) => resolve({ code, out, err }));
  });
}

/** Sends a signal once, when that has been printed. */
function once(pattern: RegExp, signal: NodeJS.Signals): How {
  let sent = false;
  return {
    watch: (out, child) => {
      if (sent || !pattern.test(out)) return;
      sent = true;
      child.kill(signal);
    },
  };
}

const text = Array.from({ length: 900 }, (_, i) => `Line ${i} of a text.\n`).join('');
writeFileSync(at('text.txt'), text);
const small = ['--hidden', '16', '--embedding', '8', '--batch', '4', '--window', '16'];
const quick = ['train', 'text.txt', ...small, '--sample-every', '0'];

/** That a run ended with this code and one sentence. */
const one = (result: Result, code: number, message: RegExp) => {
  is(result.code, code, result.out + result.err);
  match(result.err.trim(), message);
  is(result.err.trim().split('\n').length, 1, result.err);
};

test('train: samples, validation, what was saved and how to continue, in whole lines', async () => {
  const { code, out, err } = await run(['train', 'text.txt', ...small, '--steps', '30', '--out', 'a.safetensors']);
  is(err, '');
  is(code, 0);
  match(out, /lstm 1×16, [\d,]+ parameters, \d+ characters, [\d,]+ of text, simd build/);
  match(out, /30\/30 loss \d\.\d+ nats, \d\.\d+ bits\/char {2}[\d.k]+ char\/s {2}gradient \d+\.\d+ {2}0:00 left/);
  match(out, /step 6: /);
  match(out, /validation \d\.\d\d bits\/char/);
  match(out, /gatewise sample a\.safetensors --prompt 'Line 0' --temperature 0\.7/);
  match(out, /gatewise train text\.txt --resume a\.safetensors --steps 30/);
  // biome-ignore lint/suspicious/noControlCharactersInRegex: the test is that the output has no control characters
  not.match(out, /[\x00-\x09\x0b-\x1f]/);
});

test('npm start trains on its built-in text and names its own commands; gatewise train asks for a file', async () => {
  const args = ['--steps', '2', ...small, '--out', 'book.safetensors', '--validation', '0.01'];
  const { code, out, err } = await run(args, { file: npmStart });
  is(code, 0, err);
  match(out, /89 characters, 1,2\d\d,\d\d\d of text/);
  match(out, /validation \d\.\d\d bits\/char/);
  match(out, /npm start -- sample book\.safetensors --prompt /);
  one(await run(['train']), 2, /^train: expected a text file to train on, say: gatewise train book\.txt$/);
});

test('sample: the same text for the same seed; without a prompt it begins a line', async () => {
  const args = ['sample', 'a.safetensors', '--prompt', 'Line 1', '--length', '80', '--top-k', '5', '--seed', '3'];
  const [a, b] = await Promise.all([run(args), run(args)]);
  is(a.code, 0, a.err);
  is(a.out, b.out);
  ok(a.out.startsWith('Line 1'));
  is(a.out.length, 'Line 1'.length + 80 + 1);
  const sure = ['sample', 'a.safetensors', '--length', '20', '--temperature', '0'];
  const [free, line] = await Promise.all([run(sure), run([...sure, '--prompt', '\n'])]);
  is(`\n${free.out}`, line.out);
});

test('a training that is resumed equals one that was never stopped', async () => {
  await run([...quick, '--steps', '20', '--out', 'whole.safetensors']);
  await run([...quick, '--steps', '12', '--out', 'part.safetensors']);
  const resume = ['train', 'text.txt', '--resume', 'part.safetensors', '--sample-every', '0'];
  const { out } = await run([...resume, '--steps', '8']);
  match(out, /Resuming after step 12\./);
  is(Buffer.compare(bytes('whole.safetensors'), bytes('part.safetensors')), 0);
});

test('a model is not replaced without --force', async () => {
  const before = bytes('a.safetensors');
  const again = [...quick, '--steps', '2', '--out', 'a.safetensors'];
  one(
    await run(again),
    2,
    /^a\.safetensors: exists already; --force replaces it, --resume a\.safetensors continues it/,
  );
  one(
    await run(['train', 'text.txt', '--resume', 'part.safetensors', '--out', 'a.safetensors']),
    2,
    /^a\.safetensors: exists already/,
  );
  is(Buffer.compare(bytes('a.safetensors'), before), 0);
  writeFileSync(at('b.safetensors'), before);
  is((await run([...quick, '--steps', '2', '--out', 'b.safetensors', '--force'])).code, 0);
  is(Buffer.compare(bytes('b.safetensors'), before) === 0, false);
});

for (const [signal, expected] of [
  ['SIGINT', 130],
  ['SIGTERM', 143],
  ['SIGHUP', 129],
] as const) {
  test(`${signal} stops after the running step, saves, and says how to resume`, async () => {
    const out = `${signal}.safetensors`;
    const args = ['train', 'text.txt', ...small, '--steps', '100000', '--sample-every', '20', '--out', out];
    const stopped = await run(args, once(/step 40:/, signal));
    is(stopped.code, expected, stopped.err);
    const [, step, left] =
      /Stopped after step (\d+), saved to \S+\. To make the remaining (\d+) steps:/.exec(stopped.out) ?? [];
    is(Number(step) + Number(left), 100000);
    match(stopped.out, new RegExp(`gatewise train text\\.txt --resume ${out} --steps ${left} --sample-every 20`));
    is((await tasks.LanguageModel.load(bytes(out))).training?.steps, Number(step));
  });
}

test('numbers that overflow end the training with the last good model, saved', async () => {
  const args = [...quick, '--steps', '50', '--learning-rate', '1e30', '--out', 'good.safetensors'];
  const { code, out, err } = await run(args);
  is(code, 1);
  match(err, /^(the loss of|the gradient of .* in) step \d+ is .*; that step did not change the model/);
  const [, step] = /Stopped after step (\d+), saved to good\.safetensors/.exec(out) ?? [];
  is((await tasks.LanguageModel.load(bytes('good.safetensors'))).training?.steps, Number(step));
});

test('checkpoints outlive a kill; what the killed process left is removed at the next start', async () => {
  let killed = false;
  const watch = (_: string, child: ChildProcess) => {
    if (killed || !existsSync(at('saved.safetensors'))) return;
    killed = true;
    child.kill('SIGKILL');
  };
  const often = ['--steps', '100000', '--save-every', '0.01', '--out', 'saved.safetensors'];
  is((await run(['train', 'text.txt', ...small, '--sample-every', '5', ...often], { watch })).code, null);
  const ended = spawn(process.execPath, ['--version']);
  await new Promise((resolve) => ended.on('close', resolve));
  const { pid } = ended;
  const machine = hostname().replace(/[^\w-]/g, '_');
  const [dead, alive, other] = [`${machine}-${pid}`, `${machine}-${process.pid}`, `elsewhere-${pid}`].map(
    (name) => `saved.safetensors.${name}.tmp`,
  );
  for (const name of [dead, alive, other]) writeFileSync(at(name), 'half');
  const again = await run(['train', 'text.txt', '--resume', 'saved.safetensors', '--steps', '2']);
  is(again.code, 0, again.err);
  match(again.out, /Resuming after step \d+/);
  is(existsSync(at(dead)), false);
  ok(existsSync(at(alive)) && existsSync(at(other)));
  for (const name of [alive, other]) rmSync(at(name));
  not.match(listed(), /\.tmp/);
});

test('permissions stay, links are followed, pipes, devices and folders are refused', async () => {
  mkdirSync(at('far'));
  writeFileSync(at('far/real.safetensors'), 'old');
  chmodSync(at('far/real.safetensors'), 0o600);
  symlinkSync('far/real.safetensors', at('link.safetensors'));
  symlinkSync('far/new.safetensors', at('dangling.safetensors'));
  symlinkSync('circle.safetensors', at('circle.safetensors'));
  is((await run([...quick, '--steps', '2', '--out', 'link.safetensors', '--force'])).code, 0);
  is(statSync(at('far/real.safetensors')).mode & 0o777, 0o600);
  ok(statSync(at('far/real.safetensors')).size > 1000);
  await writeWhole(at('dangling.safetensors'), Uint8Array.of(1));
  is(readFileSync(at('far/new.safetensors')).length, 1);
  is(readdirSync(at('far')).length, 2);
  await new Promise((resolve) => spawn('mkfifo', [at('pipe')]).on('close', resolve));
  for (const [path, message] of [
    ['/dev/null', /could not be written: it is a device; name a file with --out/],
    ['pipe', /could not be written: it is a pipe; name a file with --out/],
    ['far', /could not be written: it is a folder; name a file with --out/],
    ['circle.safetensors', /could not be written: its links lead in a circle/],
  ] as const) {
    one(await run([...quick, '--steps', '2', '--out', path, '--force']), 2, message);
    await rejects(writeWhole(path.startsWith('/') ? path : at(path), Uint8Array.of(1)), message);
  }
  ok(statSync('/dev/null').isCharacterDevice());
});

test('--patience stops; MODEL has the best weights, also when it was stopped and resumed', async () => {
  // what random letters come next cannot be learned, only how often: validation gets worse once the training part is memorised
  const random = new Uint32Array(700);
  random.forEach((_, i) => (random[i] = (Math.imul(i ? random[i - 1] : 7, 1664525) + 1013904223) >>> 0));
  writeFileSync(at('noise.txt'), Array.from(random, (n) => 'aaaaabcd'[n >>> 29]).join(''));
  const args = ['--hidden', '48', '--batch', '4', '--window', '16', '--learning-rate', '0.03', '--sample-every', '0'];
  const checks = ['--validation', '0.4', '--validate-every', '20', '--patience', '3', '--steps', '2000'];
  const { code, out, err } = await run(['train', 'noise.txt', ...args, ...checks, '--out', 'n.safetensors']);
  is(code, 0, err);
  const found = [...out.matchAll(/validation after step (\d+): ([\d.]+) bits\/char(, the best so far)?/g)];
  match(out, /Stopped after step \d+: 3 validations without a better one\./);
  const losses = found.map(([, , loss]) => Number(loss));
  const best = losses.indexOf(Math.min(...losses));
  is(best, losses.length - 4);
  is(Boolean(found[best][3]), true);
  match(out, new RegExp(`the model after step ${found[best][1]}\n`));
  const kept = readFileSync(at('noise.txt'), 'utf8').slice(420);
  const lm = await tasks.LanguageModel.load(bytes('n.safetensors'));
  is((await lm.evaluate(kept)).bits.toFixed(3), found[best][2]);
  // what is worse does not replace it
  const [command] = /train noise\.txt --resume n\.safetensors .*/.exec(out) ?? [''];
  const again = await run(command.split(' '));
  is(again.code, 0, again.err);
  const resumed = await tasks.LanguageModel.load(bytes('n.safetensors'));
  ok((await resumed.evaluate(kept)).bits <= (await lm.evaluate(kept)).bits);
  // patience counts on where it was stopped
  const cut = once(new RegExp(`after step ${found[best + 1][1]}:`), 'SIGINT');
  const stop = await run(['train', 'noise.txt', ...args, ...checks, '--out', 'm.safetensors'], cut);
  is(stop.code, 130, stop.err);
  const [rest] = /train noise\.txt --resume m\.safetensors .*/.exec(stop.out) ?? [''];
  const continued = await run(rest.split(' '));
  is(continued.code, 0, continued.err);
  ok(same(bytes('m.safetensors'), lm.save()));
});

type Predict = (inputs: readonly never[]) => PromiseLike<readonly object[]>;
type Case = [
  task: string,
  { save(): Uint8Array },
  readonly unknown[],
  (some: readonly unknown[]) => ReturnType<Predict>,
  string[],
];

/** A small model of every task with inputs, the library's `predict` and the same options as words. */
async function models(): Promise<Case[]> {
  let seed = 1;
  const draw = () => {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
    return seed / 2 ** 32;
  };
  const many = <T>(make: (i: number) => T) => Array.from({ length: 90 }, (_, i) => make(i));
  const words = many(() => Array.from({ length: 1 + draw() * 12 }, () => 'abcdef'[Math.floor(draw() * 6)]).join(''));
  const frames = many(() => Array.from({ length: 1 + draw() * 8 }, () => [draw(), draw(), draw()]));
  const waves = many(() => Array.from({ length: 16 + draw() * 4 }, (_, t) => Math.sin(t / 3) + draw()));
  const size = { hiddenSize: 9, seed: 1 };
  const classes = ['x', 'y', 'z'];
  const forecaster = await tasks.Forecaster.create({ window: 12, horizon: 2, ...size });
  await forecaster.fit([...waves[0], ...waves[1]], { epochs: 1 });
  const calendar = ['dayOfWeek'] as const;
  const dated = await tasks.Forecaster.create({
    window: 9,
    horizon: 2,
    futureCovariates: ['price'],
    calendar,
    ...size,
  });
  const withDates = (series: number[], more: number) => ({
    series,
    dates: { start: '2024-02-27', step: { days: 1 } },
    futureCovariates: { price: Array.from({ length: series.length + more }, (_, t) => Math.cos(t)) },
  });
  await dated.fit([withDates(waves[0], 0), withDates(waves[1], 0)], { epochs: 1 });
  const histories = waves.map((series) => withDates(series, 2));
  const lm = await tasks.LanguageModel.create({ vocabulary: 'abcdef', ...size });
  const classifier = await tasks.SequenceClassifier.create({ vocabulary: 'abcdef', classes, ...size });
  const regressor = await tasks.SequenceRegressor.create({ inputSize: 3, ...size });
  const tagger = await tasks.SequenceTagger.create({ vocabulary: 'abcdef', classes, multiLabel: true, ...size });
  const source = { vocabulary: 'abcdef' };
  const seq2seq = await tasks.Seq2Seq.create({ source, target: 'xyz', attention: 'general', ...size });
  const transcriber = await tasks.Transcriber.create({ inputSize: 3, target: 'xyz', ...size });
  const generator = await tasks.SequenceGenerator.create({ classes, target: 'xyz', ...size });
  const as =
    (predict: Predict): Case[3] =>
    (some) =>
      predict(some as readonly never[]);
  const beam = { maxLength: 6, beamWidth: 2 };
  return [
    ['language-model', lm, words, as((x) => lm.predict(x)), []],
    [
      'sequence-classifier',
      classifier,
      words,
      as((x) => classifier.predict(x, { threshold: 0.34 })),
      ['--threshold', '0.34'],
    ],
    ['sequence-regressor', regressor, frames, as((x) => regressor.predict(x)), []],
    ['sequence-tagger', tagger, words, as((x) => tagger.predict(x, { threshold: 0.4 })), ['--threshold', '0.4']],
    ['seq2seq', seq2seq, words, as((x) => seq2seq.predict(x, { maxLength: 6 })), ['--max-length', '6']],
    ['transcriber', transcriber, frames, as((x) => transcriber.predict(x)), []],
    [
      'sequence-generator',
      generator,
      many((i) => classes[i % 3]),
      as((x) => generator.predict(x, beam)),
      ['--max-length', '6', '--beam-width', '2'],
    ],
    ['forecaster', forecaster, waves, as((x) => forecaster.predict(x, { steps: 2 })), ['--steps', '2']],
    ['dated-forecaster', dated, histories, as((x) => dated.predict(x)), []],
  ];
}

/** What `predict` writes for a list of results. */
const linesFor = (results: readonly object[]) =>
  results.map(
    (result) => `${JSON.stringify(result, (_, x) => (ArrayBuffer.isView(x) ? [...(x as Float32Array)] : x))}\n`,
  );
/** The numbers of lines as float32: nine digits are enough to say one. */
const rounded = (line: string) =>
  JSON.stringify(JSON.parse(line, (_, x) => (typeof x === 'number' ? Math.fround(x) : x)));

test('predict: every task, one result per line in order, as the library gives it', async () => {
  const every = (await models()).map(([task, model, inputs, predict, options]) => async () => {
    writeFileSync(at(`${task}.model`), model.save());
    const some = inputs.slice(0, 20);
    const input = some.map((value) => JSON.stringify(value)).join('\r\n');
    const { code, out, err } = await run(['predict', `${task}.model`, '--batch', '3', ...options], { input });
    is(code, 0, `${task}: ${err}`);
    const lines = out.split(/(?<=\n)/);
    equal(lines.map(rounded), linesFor(await predict(some)).map(rounded), task);
  });
  for (let i = 0; i < every.length; i += 2) await Promise.all(every.slice(i, i + 2).map((check) => check()));
});

test('predict: four shards run by two processes and joined are byte for byte what one process gives', async () => {
  const [[, , words]] = await models();
  const lines = Array.from({ length: 6 }, () => words)
    .flat()
    .map((value) => `${JSON.stringify(value)}\n`);
  const options = ['--max-length', '8'];
  const predict = (part: readonly string[]) => run(['predict', 'seq2seq.model', ...options], { input: part.join('') });
  const size = 137; // no multiple of the batch
  const shards = [0, 1, 2, 3].map((i) => lines.slice(i * size, (i + 1) * size));
  const results: string[] = [];
  const next = [0, 1, 2, 3];
  const worker = async () => {
    for (let i = next.shift(); i !== undefined; i = next.shift()) results[i] = (await predict(shards[i])).out;
  };
  await Promise.all([worker(), worker()]);
  const whole = await predict(lines);
  is(whole.out.trimEnd().split('\n').length, lines.length);
  is(results.join(''), whole.out);
});

test('predict reads no faster than its results are taken', async () => {
  const child = spawn(process.execPath, [program, 'predict', 'sequence-classifier.model'], { cwd: folder });
  const line = `"abc"${' '.repeat(1000)}\n`;
  const block = line.repeat(100);
  const total = 20_000;
  let taken = 0;
  let results = 0;
  let ahead = 0;
  child.stdout.pause();
  // each block counts once the pipe has taken it; results are read only when the pipe takes no more, or at the end
  for (let sent = 0; sent < total; sent += 100) {
    let through = false;
    const went = new Promise<void>((resolve) => {
      child.stdin.write(block, () => {
        through = true;
        resolve();
      });
    });
    while (!through) {
      await Promise.race([went, new Promise((resolve) => setTimeout(resolve, 20))]);
      const data = through ? null : child.stdout.read();
      if (data) results += data.toString().split('\n').length - 1;
    }
    taken = sent + 100;
    ahead = Math.max(ahead, taken - results);
  }
  child.stdin.end();
  for await (const data of child.stdout) results += data.toString().split('\n').length - 1;
  is(results, total);
  // the pipes and their buffers hold a few hundred KB; a reader without back pressure would be 20,000 lines ahead
  ok(ahead < 6000, `${ahead} lines ahead`);
});

test('predict: a wrong line is named, and the results of those before it are written', async () => {
  for (const [line, message] of [
    ['{"a', /^line 3: is not valid JSON: /],
    ['', /^line 3: expected a JSON value, got an empty line$/],
    ['"aQ"', /^line 3: "Q" is not in the vocabulary$/],
    ['17', /^line 3: expected .*, got 17$/],
    [Buffer.from([0x22, 0xff, 0x22]), /^line 3: is not UTF-8 text$/],
  ] as const) {
    const input = Buffer.concat([Buffer.from('"ab"\n"c"\n'), Buffer.from(line), Buffer.from('\n"d"\n')]);
    const result = await run(['predict', 'sequence-classifier.model'], { input });
    one(result, 2, message);
    is(result.out.trim().split('\n').length, 2);
  }
  const { code, out } = await run(['predict', 'sequence-classifier.model'], { input: '' });
  is(code, 0);
  is(out, '');
});

test('info: task, options, parameters, format, state of the training', async () => {
  const { code, out, err } = await run(['info', 'a.safetensors']);
  is(code, 0, err);
  match(out, /^file {6}a\.safetensors, [\d,]+ bytes\nformat {4}gatewise 2 \(safetensors\)\ntask {6}language-model\n/);
  match(out, /training {2}30 steps, .*learningRate 0\.004/);
  match(out, / {2}hiddenSize: 16\n/);
  const lm = await tasks.LanguageModel.load(bytes('a.safetensors'));
  ok(out.includes(`${lm.summary()}`));
  const other = await run(['info', 'forecaster.model']);
  match(other.out, /task {6}forecaster\n/);
  writeFileSync(at('weights.model'), lm.save({ weightsOnly: true }));
  match((await run(['info', 'weights.model'])).out, /training {2}none in the file/);
  const old = readdirSync(join(root, 'tests/files/format1')).filter((name) => name.endsWith('.safetensors'));
  ok(old.length > 0);
  const { out: first } = await run(['info', join(root, 'tests/files/format1', old[0])]);
  match(first, /format {4}gatewise 1 /);
});

test('bench: the machine, then a row for each work and function, with the modules of the package', async () => {
  const { code, out, err } = await run(['bench', '--json', '--samples', '3', '--only', 'lstm-train-b1-h128']);
  const [about, ...rows] = out
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  // on a busy machine a row may be above the peak, which it says itself
  is(code, rows.some(({ error }) => error) ? 1 : 0, err);
  is(about.gatewise, JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')).version);
  match(about.machine, /^\d{4}-\d\d-\d\d, .*, node \d/);
  is(about.samples, 3);
  ok(rows.length >= 1);
  for (const [i, { id, build, ms, ofPeak, gflops }] of rows.entries()) {
    equal([id, build], ['lstm-train-b1-h128', ['simd', 'relaxed'][i]]);
    for (const n of [ms, ofPeak, gflops]) ok(Number.isFinite(n) && n > 0, `${n}`);
  }
  match(
    (await run(['bench', '--only', 'exp', '--samples', '1', '--build', 'simd'])).out,
    /exp +simd +[\d.]+ ns per element/,
  );
  one(await run(['bench', '--only', 'nothing']), 2, /no row has this text in its id/);
  one(await run(['bench', 'file']), 2, /expected options only, got file/);
  for (const name of ['bench-simd', 'bench-relaxed']) {
    ok(existsSync(join(root, `dist/${name}.wasm`)), 'in the package, next to the program');
  }
});

test('--help lists every option, --version the version; all cells are named', async () => {
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  is((await run(['--version'])).out, `${version}\n`);
  const overview = await run(['--help']);
  is(overview.code, 0);
  is((await run([])).out, overview.out);
  const commands = ['train', 'sample', 'predict', 'info', 'bench'];
  const helps = await Promise.all(commands.map((command) => run([command, '--help'])));
  for (const [i, command] of commands.entries()) {
    match(overview.out, new RegExp(`gatewise ${command} `));
    const { code, out } = helps[i];
    is(code, 0);
    ok(out.startsWith(`gatewise ${command} `), out);
    if (command === 'train') ok(out.includes(`: ${CELL_NAMES.join(', ')} `), out);
  }
  match((await run(['--help'], { file: npmStart })).out, /npm start -- train FILE/);
});

test('an option that is wrong is named, with what was expected', () => {
  const wrong: [string[], RegExp][] = [
    [['--hidden', 'many'], /^--hidden: expected a whole number, got 'many'$/],
    [['--hidden', '0'], /^--hidden: expected a whole number of at least 1, got '0'$/],
    [['--hidden', '--layers'], /^--hidden: expected a value, got '--layers'$/],
    [['--hidden'], /^--hidden: expected a value$/],
    [['--validation', '1'], /^--validation: expected a number from 0 to 0\.9, got '1'$/],
    [['--cell', 'lstn'], /^--cell: expected rnn, .*did you mean 'lstm'\?$/],
    [['--hiden', '8'], /^--hiden is not an option of train; did you mean --hidden\?$/],
    [['--units', '8'], /^--units is not an option of train; train --help lists its options$/],
    [['--force=1'], /^--force: takes no value, got '1'$/],
  ];
  for (const [args, message] of wrong) throws(() => parse(TRAIN, args), message);
  equal(parse(TRAIN, ['a', '--clip=-0', '--out=-x', '--', '--help']).files, ['a', '--help']);
});

test('mistakes are one sentence that helps, and leave nothing behind', async () => {
  writeFileSync(at('short.txt'), 'too short');
  writeFileSync(at('empty.txt'), '');
  writeFileSync(at('binary.txt'), Buffer.from([0xff, 0xfe, 0x80]));
  writeFileSync(at('broken.safetensors'), bytes('a.safetensors').subarray(0, 999));
  const before = listed();
  const wrong: [string[], RegExp][] = [
    [['train', 'nowhere.txt'], /^nowhere\.txt: the file does not exist$/],
    [['train', 'short.txt'], /^text: expected at least 1025 tokens/],
    [['train', 'empty.txt'], /^vocabulary: the text is empty/],
    [['train', 'binary.txt'], /^binary\.txt: is not UTF-8 text$/],
    [['train', 'text.txt', '--hiden', '8'], /^--hiden is not an option of train; did you mean --hidden\?$/],
    [['train', 'text.txt', '--cell', 'lstn'], /did you mean 'lstm'\?$/],
    [
      ['train', 'text.txt', '--patience', '2', '--validation', '0'],
      /^--validation: expected a share of the text with at least two/,
    ],
    [['train', 'text.txt', '--out', 'no/such/m'], /^no\/such\/m could not be written: the folder .* does not exist/],
    [['train', 'text.txt', '--resume', 'none.model'], /^none\.model: the file does not exist; train a model first$/],
    [['train', 'text.txt', '--resume', 'broken.safetensors'], /^broken\.safetensors: .*cut off/],
    [
      ['train', 'text.txt', '--resume', 'a.safetensors', '--hidden', '9'],
      /^--hidden: cannot be combined with --resume/,
    ],
    [['train', 'text.txt', '--resume', 'forecaster.model'], /expected a language-model, got a forecaster/],
    [['sample'], /^sample: expected one model, got 0$/],
    [['sample', 'text.txt'], /^text\.txt: the file is cut off or not a safetensors file/],
    [['sample', 'a.safetensors', '--prompt', 'Ω'], /^prompt: "Ω" is not in the vocabulary$/],
    [['predict'], /^predict: expected one model, got 0$/],
    [['predict', 'a.safetensors', 'in.jsonl'], /^predict: expected one model, got 2; the inputs come from standard/],
    [['predict', 'sequence-tagger.model', '--steps', '3'], /^--steps: is not an option of a sequence-tagger$/],
    [['predict', 'broken.safetensors'], /^broken\.safetensors: .*cut off/],
    [['info', 'far'], /^far: is a folder; expected a file$/],
    [['text.txt'], /^text\.txt: is not a command; to train on that file: gatewise train text\.txt$/],
    [['trane'], /^trane: is not a command; did you mean train\?$/],
    [['xyz'], /^xyz: is not a command; the commands are train, sample, predict, info, bench$/],
    [['--steps', '3'], /^--steps: expected a command first; gatewise --help lists them$/],
  ];
  for (let i = 0; i < wrong.length; i += 2) {
    await Promise.all(wrong.slice(i, i + 2).map(async ([args, message]) => one(await run(args), 2, message)));
  }
  is(listed(), before);
});

test('a disk that fills while a file is written leaves the old file and nothing else', async () => {
  const path = at('kept.bin');
  await writeWhole(path, Uint8Array.of(1, 2, 3));
  const before = listed();
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
  is(listed(), before);
});

test('the program has its packages inside, and their licences are passed on', () => {
  const code = readFileSync(program, 'utf8');
  const found = [...code.matchAll(/^(?:import|export)\b.*?\bfrom\s*"([^"]+)"|\brequire\("([^"]+)"\)/gm)];
  for (const [, from, required] of found) match(from ?? required, /^(node:|\.\/(index|tasks|cli-\w+)\.js$)|^[a-z]+$/);
  const licences = readFileSync(join(root, 'dist/THIRD-PARTY-LICENSES'), 'utf8');
  match(licences, /cli\.js contains cli-progress [\d.]+ \(MIT\)[\s\S]*Permission is hereby granted/);
});

test.run();
