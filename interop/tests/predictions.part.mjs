/** Every task and every cell: gatewise and PyTorch make the same of the same weights, both ways; files that do not fit are named. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { cases, create, load, outputs } from './networks.mjs';

export const title = 'every task and cell in gatewise and PyTorch, within 1e-6 of the largest number';
export const needs = 'torch';
export const modules = ['torch', 'safetensors'];

/** The largest difference, as a share of the largest number. */
export function distance(found, wanted) {
  if (found.length !== wanted.length || found.length === 0) return Infinity;
  const scale = wanted.reduce((most, v) => Math.max(most, Math.abs(v)), 0);
  return found.reduce((most, v, i) => Math.max(most, Math.abs(v - wanted[i])), 0) / scale;
}

/** Labels by the names of the sets. */
const bySet = ({ labels, sets }) => sets ?? (Array.isArray(labels) ? { '': labels } : labels);

export default async function ({ folder, py, check, root }) {
  const file = (i, kind) => join(folder, `${i}.${kind}`);
  for (const [i, one] of cases.entries()) {
    const task = await create(one);
    const expected = outputs(task, one.data);
    const said = one.options.crf ? (await task.predict(one.data.inputs)).map(bySet) : null;
    writeFileSync(file(i, 'safetensors'), task.save());
    writeFileSync(file(i, 'json'), JSON.stringify({ ...one, expected, said }));
    task.dispose();
  }
  const format1 = join(root, 'tests/files/format1');
  const lines = (await py([join(root, 'interop/tests/predictions.py'), folder, format1])).trim().split('\n');
  for (const line of lines) {
    const [name, detail, good] = JSON.parse(line);
    check(name, good, detail);
  }
  for (const [i, one] of cases.entries()) {
    const written = JSON.parse(readFileSync(file(i, 'written.json'), 'utf8'));
    const task = await load(one, readFileSync(file(i, 'written')));
    for (const [name, { values }] of Object.entries(outputs(task, one.data))) {
      const d = distance(values, written[name]);
      check(`PyTorch to gatewise, ${one.task}, ${one.name}, ${name}`, d <= 1e-6, d.toExponential(1));
    }
    task.dispose();
  }
  // files of format 1 that PyTorch has read and written are what gatewise itself makes of them
  const { default: expected } = await import(join(format1, 'expected.json'), { with: { type: 'json' } });
  for (const [name, { task }] of Object.entries(expected)) {
    for (const stem of [name, `${name}-weights`]) {
      const saved = [];
      for (const path of [join(format1, `${stem}.safetensors`), join(folder, `${stem}.format2`)]) {
        // numbers were learned by a classifier then
        const kind = name === 'numbers' ? 'SequenceRegressor' : task;
        const model = await load({ task: kind }, readFileSync(path));
        saved.push(model.save());
        model.dispose();
      }
      check(`a file of format 1 by way of PyTorch: ${stem}`, Buffer.compare(saved[0], saved[1]) === 0);
    }
  }
}
