/** gatewise/predict: every task as gatewise/tasks has it, bit for bit, from each kind of file, and nothing of training. */
import { readFileSync } from 'node:fs';
import * as lean from 'gatewise/predict';
import { SequenceClassifier } from 'gatewise/tasks';
import { test } from 'uvu';
import { equal, is, ok, throws } from 'uvu/assert';
import { type AnyTask, type AnyTaskClass, subjects } from './fuzz/subjects.js';
import { rejects } from './support/rejects.js';

type Predictor = Pick<AnyTask, 'predict' | 'generate' | 'stream' | 'dispose'> & { readonly config: object };
const all = lean as unknown as Readonly<Record<string, AnyTaskClass>>;

/** What a model says: predictions, what it draws, and a stream that is saved on its way. */
async function outcome(model: Predictor, name: string): Promise<unknown[]> {
  const { inputs, start, opening = start, step, generate } = subjects[name];
  const said: unknown[] = [model.config, await model.predict(inputs(), start)];
  // with a seed, and from the random stream of the file
  if (generate) said.push(await model.generate?.(...generate()));
  if (generate && generate().length > 1 && Array.isArray(inputs()))
    said.push(await model.generate?.(inputs(), { maxLength: 3 }));
  if (step === undefined) return said;
  const stream = model.stream?.(undefined, opening);
  said.push(stream?.step(step));
  const saved = stream?.save();
  said.push(saved, stream?.step(step), model.stream?.(saved).step(step));
  return said;
}

for (const [name, { Task, options, data, fit }] of Object.entries(subjects)) {
  test(`${name}: the bits of the task, from a file with its training, of weights alone, and in float16`, async () => {
    const trained = Task.createSync(options());
    await trained.fit(data(), structuredClone(fit));
    const files = [trained.save(), trained.save({ weightsOnly: true })];
    files.push(trained.save({ weightsOnly: true, dtype: 'f16' }));
    trained.dispose();
    for (const bytes of files) {
      const full = Task.loadSync(bytes) as unknown as Predictor;
      const expected = await outcome(full, name);
      full.dispose();
      const { name: own } = Task;
      const made = [
        await lean.load(bytes),
        lean.loadSync(bytes),
        await all[own].load(bytes),
        all[own].loadSync(bytes),
      ] as unknown as Predictor[];
      for (const model of made) {
        equal(await outcome(model, name), expected);
        for (const gone of ['fit', 'evaluate', 'save', 'calibrate']) is(Reflect.get(model, gone), undefined, gone);
        model.dispose();
      }
    }
  });
}

test('files that are not those of a task are refused, and a class refuses the file of another task', async () => {
  using trained = await SequenceClassifier.create({ vocabulary: 'ab', classes: ['x', 'y'], hiddenSize: 4 });
  const bytes = trained.save();
  await rejects(lean.load(bytes.slice(0, 90)), /^FormatError|header|file/);
  await rejects(lean.SequenceTagger.load(bytes), /the file holds 'sequence-classifier', not 'sequence-tagger'/);
  const text = new TextDecoder('latin1').decode(bytes).replace('sequence-classifier', 'sequence-something1');
  const other = Uint8Array.from(text, (c) => c.charCodeAt(0));
  throws(() => lean.loadSync(other), /the file holds 'sequence-something1'; expected a model of language-model/);
  const model = await lean.load<'sequence-classifier'>(bytes);
  const [{ probability }] = await model.predict(['ab']);
  ok(probability.x > 0);
  // @ts-expect-error it does not train
  is(model.fit, undefined);
  const typed: lean.SequenceClassifier = model;
  model.dispose();
  throws(() => typed.stream(), /disposed/);
});

test('the entry calls no kernel that its modules do not have', () => {
  const root = new URL('../../dist/', import.meta.url);
  const kernels = (name: string) =>
    WebAssembly.Module.exports(new WebAssembly.Module(readFileSync(new URL(`${name}.wasm`, root)))).map((e) => e.name);
  const has = new Set(kernels('predict'));
  for (const name of kernels('infer')) ok(has.has(name), name);
  const text = readFileSync(new URL('predict.js', root), 'utf8').replace(/\/\*[\s\S]*?\*\//g, '');
  const missing = kernels('simd').filter((name) => !has.has(name) && text.includes(`core.${name}(`));
  equal(missing, []);
});

test.run();
