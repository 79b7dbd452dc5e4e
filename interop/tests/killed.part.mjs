/** A process is killed in the middle, the job launched again: nothing shows it. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { torchrun } from './torchrun.mjs';
import { language, text } from './trainings.mjs';

export const title = 'process 1 killed, the job launched again: the same file as without, bit for bit';
export const needs = 'torch';
export const modules = ['torch', 'safetensors'];

export default async function (t) {
  const training = language(128);
  const at = (name) => join(t.folder, name);
  const model = await training.create();
  writeFileSync(at('start'), model.save());
  writeFileSync(at('text'), text);
  model.dispose();
  const options = { model: at('start'), data: at('text'), steps: 60, 'snapshot-every': 5, 'learning-rate': 5e-3 };
  const job = (output) => [...torchrun(t, 2, { ...options, output }), ...training.arguments];
  await t.py(job(at('calm')));

  const first = t.start(t.python, job(at('disturbed')), { env: t.env });
  const snapshot = await t.until(() => existsSync(at('disturbed.snapshot')), 300);
  const [, pid] = /rank 1 of 2, process (\d+)/.exec(first.output) ?? [];
  if (!snapshot || !pid) throw new Error(`no snapshot, or no process 1:\n${first.output}`);
  process.kill(Number(pid), 'SIGKILL');
  const code = await first.ended;
  t.check('the job ends where a process was killed', code !== 0 && !existsSync(at('disturbed')), `exit code ${code}`);

  let launches = 0;
  let output = '';
  for (let ended = 1; ended !== 0 && launches < 5; launches++) {
    const again = t.start(t.python, job(at('disturbed')), { env: t.env });
    ended = await again.ended;
    output = again.output;
  }
  const [, from] = /from step (\d+) of/.exec(output) ?? [];
  t.check(
    'launched again, it resumes from a snapshot',
    Number(from) > 0 && Number(from) < 60,
    `from step ${from}, ${launches} launch`,
  );
  const same = Buffer.compare(readFileSync(at('calm')), readFileSync(at('disturbed'))) === 0;
  t.check('the final file equals that of the undisturbed job bit for bit', same);

  const trained = await training.load(readFileSync(at('disturbed')));
  const { loss } = await trained.evaluate(text.slice(0, 2000));
  const theirs = Number(await t.py([join(t.root, 'interop/tests/evaluate.py'), at('disturbed'), at('text'), '2000']));
  const d = Math.abs(loss - theirs);
  t.check('gatewise evaluates it as PyTorch does, within 1e-6', d <= 1e-6, `${loss} and ${theirs}`);
  trained.dispose();
}
