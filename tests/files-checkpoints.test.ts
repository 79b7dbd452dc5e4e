/** Checkpoints while a model is trained, and runs that are aborted. */
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { checkpointFile } from 'gatewise/node';
import { LanguageModel, SequenceClassifier } from 'gatewise/tasks';
import { test } from 'uvu';
import { equal, is, ok, throws } from 'uvu/assert';
import { rejects } from './support/rejects.js';
import { same } from './support/tasks.js';

const TEXT = 'abracadabra '.repeat(12);
const FIT = { batchSize: 2, window: 6 };
const create = () => LanguageModel.create({ vocabulary: [...new Set(TEXT)].join(''), hiddenSize: 4, seed: 1 });

test('fit saves every n steps and after the last one, and resumes from each to the same bits', async () => {
  const lm = await create();
  const files: Uint8Array[] = [];
  let saving = 0;
  const save = async (bytes: Uint8Array) => {
    is(saving++, 0, 'one at a time');
    await new Promise((done) => setTimeout(done));
    saving--;
    files.push(bytes);
  };
  const steps: number[] = [];
  for await (const { step } of lm.fit(TEXT, { ...FIT, steps: 8, checkpoint: { everySteps: 3, save } })) {
    is(saving, 0, 'training waits');
    steps.push(step);
  }
  equal(steps, [1, 2, 3, 4, 5, 6, 7, 8]);
  is(files.length, 3);
  ok(same(files[2], lm.save()));
  for (const [i, left] of [5, 2].entries()) {
    const resumed = await LanguageModel.load(files[i]);
    await resumed.fit(TEXT, { ...FIT, steps: left });
    ok(same(resumed.save(), lm.save()));
  }
});

test('fit saves by time, in tasks with examples as well', async () => {
  const task = await SequenceClassifier.create({ classes: ['a', 'b'], inputSize: 1, hiddenSize: 2 });
  const examples = [[[1]], [[2]], [[3]]].map((input) => ({ input, label: 'a' as const }));
  const run = async (checkpoint: object) => {
    let saves = 0;
    const save = () => {
      saves++;
    };
    await task.fit(examples, { epochs: 2, batchSize: 1, checkpoint: { ...checkpoint, save } });
    return saves;
  };
  is(await run({ everySeconds: 1e-9 }), 6);
  is(await run({ everySeconds: 1e9 }), 1);
  is(await run({ everySeconds: 1e9, everySteps: 2 }), 3);
  is(await run({}), 1);
  const options = (checkpoint: object) => () => task.fit(examples, { checkpoint: checkpoint as never });
  throws(options({}), /^checkpoint\.save: expected a function, got undefined/);
  throws(options({ save() {}, everySteps: 0 }), /^checkpoint\.everySteps: expected a positive whole number, got 0/);
  throws(options({ save() {}, everySeconds: 0 }), /^checkpoint\.everySeconds: expected a finite number above 0, got 0/);
  throws(options({ save() {}, every: 1 }), /unknown option 'every'/);
});

test('a checkpoint that cannot be saved ends the training, between two steps', async () => {
  const lm = await create();
  const save = async () => {
    throw new Error('disk full');
  };
  await rejects(lm.fit(TEXT, { ...FIT, steps: 5, checkpoint: { everySteps: 2, save } }), /^disk full$/);
  is(lm.training?.steps, 2);
  await lm.fit(TEXT, { ...FIT, steps: 1 });
  is(lm.training?.steps, 3);
});

/** Runs a program in a process of its own. */
function run(program: string) {
  const code = `
    import { LanguageModel } from 'gatewise/tasks';
    const lm = LanguageModel.createSync({ vocabulary: 'ab', hiddenSize: 4 });
    const text = 'ab'.repeat(600);
    const controller = new AbortController();
    const { signal } = controller;
    setTimeout(() => console.log('alive'), 100);
    ${program}`;
  const cwd = new URL('../../', import.meta.url);
  const { status, stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', code], {
    cwd,
    encoding: 'utf8',
  });
  return { status, stdout, stderr };
}

test('an aborted run that nobody awaits does not end the process', () => {
  for (const reason of ['', "'stop'", "new Error('stop')"]) {
    const ways = [
      'lm.fit(text, { signal })',
      'lm.evaluate(text, { signal })',
      'lm.generate({ length: 1e6, signal })',
      "lm.predict(['a'], { signal })",
    ];
    for (const way of ways) {
      const { status, stdout, stderr } = run(
        `${way}; setTimeout(() => controller.abort(${reason}), ${way.includes('predict') ? 0 : 20}); `,
      );
      is(status, 0, `${way}: ${stderr}`);
      is(stdout, 'alive\n');
    }
  }
});

test('an aborted run rejects for those who await it, also later', () => {
  const { status, stdout, stderr } = run(`
    const run = lm.fit(text, { signal, steps: 1e6 });
    setTimeout(() => controller.abort(new Error('stop')), 10);
    setTimeout(async () => { try { await run; } catch (error) { console.log('caught ' + error.message); } }, 60);`);
  is(status, 0, stderr);
  equal(stdout.trim().split('\n').sort(), ['alive', 'caught stop']);
});

test('another error of a run that nobody awaits is reported', () => {
  const { status, stderr } = run('lm.fit(text, { signal, learningRate: 1e300, steps: 9 });');
  is(status, 1);
  ok(/NonFiniteError/.test(stderr), stderr);
});

const folder = mkdtempSync(join(tmpdir(), 'gatewise-checkpoints-'));
test.after(() => rmSync(folder, { recursive: true, force: true }));

test('checkpointFile writes whole files; permissions stay, links are followed', async () => {
  const path = join(folder, 'model.safetensors');
  const lm = await create();
  await lm.fit(TEXT, { ...FIT, steps: 4, checkpoint: { everySteps: 2, save: checkpointFile(path) } });
  ok(same(readFileSync(path), lm.save()));
  chmodSync(path, 0o600);
  const link = join(folder, 'link');
  symlinkSync('model.safetensors', link);
  const save = checkpointFile(link);
  await Promise.all([save(Uint8Array.of(1)), save(Uint8Array.of(2)), save(Uint8Array.of(3))]);
  equal([...readFileSync(path)], [3]);
  ok(lstatSync(link).isSymbolicLink());
  if (process.platform !== 'win32') is(statSync(path).mode & 0o777, 0o600);
  const dangling = join(folder, 'dangling');
  symlinkSync('new', dangling);
  await checkpointFile(dangling)(Uint8Array.of(4));
  equal([...readFileSync(join(folder, 'new'))], [4]);
  equal(readdirSync(folder).sort(), ['dangling', 'link', 'model.safetensors', 'new']);
});

test('checkpointFile refuses what is not a file, and leaves nothing behind', async () => {
  const inside = join(folder, 'inside');
  mkdirSync(inside);
  await rejects(checkpointFile(inside)(Uint8Array.of(1)), /: expected a file, found a folder$/);
  await rejects(checkpointFile(join(folder, 'none/model'))(Uint8Array.of(1)), /ENOENT/);
  throws(() => checkpointFile(5 as never), /^path: expected a string, got 5$/);
  const circle = join(folder, 'circle');
  symlinkSync('circle', circle);
  await rejects(checkpointFile(circle)(Uint8Array.of(1)), /: its links lead in a circle$/);
  if (process.platform !== 'win32') {
    await rejects(checkpointFile('/dev/null')(Uint8Array.of(1)), /^\/dev\/null: expected a file, found a device$/);
    execFileSync('mkfifo', [join(folder, 'pipe')]);
    await rejects(checkpointFile(join(folder, 'pipe'))(Uint8Array.of(1)), /: expected a file, found a pipe$/);
  }
  equal(
    readdirSync(folder).filter((name) => name.endsWith('.tmp')),
    [],
  );
});

test('checkpointFile removes the temporary files of dead processes, and of no others', async () => {
  const path = join(folder, 'model.safetensors');
  const machine = hostname().replace(/[^\w-]/g, '_');
  const dead = spawnSync(process.execPath, ['-e', '']).pid;
  const alive = spawn(process.execPath, ['-e', 'setTimeout(() => {}, 60000)']);
  const name = (of: string) => `${path}.${of}.tmp`;
  const gone = [name(`${machine}-${dead}`), name(`${machine}-${dead}-7`)];
  const kept = [
    name(`${machine}-${alive.pid}`),
    name(`other-machine-${dead}`),
    name('mine'),
    `${path}x.${machine}-${dead}.tmp`,
  ];
  for (const file of [...gone, ...kept]) writeFileSync(file, 'x');
  await checkpointFile(path)(Uint8Array.of(1));
  alive.kill();
  equal(gone.map(existsSync), [false, false]);
  equal(kept.map(existsSync), [true, true, true, true]);
});

test.run();
