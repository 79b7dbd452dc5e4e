/**
 * Half of the comparison with PyTorch that runs in Node.
 *
 *     node predict.mjs write FOLDER    a file of each case, and what gatewise makes of its data
 *     node predict.mjs read FOLDER     compares what PyTorch made of the files that it wrote with what gatewise makes of them
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { cases, create, load, outputs } from './networks.mjs';

const [, , verb, folder] = process.argv;
const file = (i, kind) => join(folder, `${i}.${kind}`);

/** The largest difference, as a share of the largest number. */
function distance(a, b) {
  if (a.length !== b.length) return Infinity;
  const scale = Math.max(...a.map(Math.abs));
  return Math.max(...a.map((v, i) => Math.abs(v - b[i]))) / scale;
}

/** Logits past the ends of sequences do not count: zeros in both. */
for (const [i, one] of cases.entries()) {
  if (verb === 'write') {
    const task = await create(one);
    const expected = outputs(task, one.data);
    const { tags } = one.options.crf ? { tags: await task.predict(one.data.inputs) } : {};
    writeFileSync(file(i, 'safetensors'), task.save());
    writeFileSync(file(i, 'json'), JSON.stringify({ ...one, expected, tags }));
    task.dispose();
  } else {
    const written = JSON.parse(readFileSync(file(i, 'out.json'), 'utf8'));
    const task = await load(one, readFileSync(file(i, 'out.safetensors')));
    const found = outputs(task, one.data);
    for (const [name, { values }] of Object.entries(found)) {
      const d = distance(values, written[name]);
      console.log(`${d <= 1e-6 ? 'ok' : 'FAILED'} PyTorch to gatewise: ${one.task}, ${one.name}: ${name} ${d.toExponential(1)}`);
    }
    task.dispose();
  }
}
