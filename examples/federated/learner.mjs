/**
 * The part of a client that learns: a language model on the lines of some of Shakespeare's roles.
 *
 *     node learner.mjs create FILE [--hidden 256] [--seed 1]
 *     node learner.mjs train BEFORE AFTER --data FILE --part 0 --parts 2 [--round 1] [--steps 100] [--batch-size 16] [--window 64]
 *         [--learning-rate 0.003]
 */
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { LanguageModel } from 'gatewise/tasks';

/** No client has to know another's text: the characters are agreed on beforehand. */
const CHARACTERS = "\n !$&',-.3:;?ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/**
 * What the roles of one part say. Roles are dealt out in turn, the one with the most text first.
 *
 * @param text speeches between empty lines, each a role and a colon, then its lines
 */
function textOfPart(text, part, parts) {
  const roles = new Map();
  for (const speech of text.replaceAll('\r', '').split(/\n{2,}/)) {
    const [, role, said] = /^([^\n:]+):\n([\s\S]*)$/.exec(speech) ?? [];
    if (role) roles.set(role, `${roles.get(role) ?? ''}${said.trim()}\n\n`);
  }
  const sorted = [...roles].sort(([a, m], [b, n]) => n.length - m.length || (a < b ? -1 : 1));
  const own = sorted.filter((_, i) => i % parts === part).map(([, said]) => said);
  return [...own.join('')].filter((character) => CHARACTERS.includes(character)).join('');
}

async function create(path, { hidden, seed }) {
  const options = { cell: 'lstm', numLayers: 2, embeddingSize: 8, hiddenSize: Number(hidden), seed: Number(seed) };
  const model = await LanguageModel.create({ vocabulary: CHARACTERS, ...options });
  writeFileSync(path, model.save({ weightsOnly: true }));
}

async function train(before, after, { data, ...given }) {
  const [part, parts, round, steps, batchSize, window, learningRate] = [
    'part',
    'parts',
    'round',
    'steps',
    'batch-size',
    'window',
    'learning-rate',
  ].map((key) => Number(given[key]));
  const text = textOfPart(readFileSync(data, 'utf8'), part, parts);
  const model = await LanguageModel.load(readFileSync(before));
  // each round begins where the one before has stopped: places in the text are read side by side, so that it moves by `steps` windows
  const from = ((round - 1) * steps * window) % text.length;
  const turned = text.slice(from) + text.slice(0, from);
  let sum = 0;
  for await (const { loss } of model.fit(turned, { batchSize, window, steps, learningRate })) sum += loss;
  writeFileSync(`${after}.part`, model.save({ weightsOnly: true }));
  renameSync(`${after}.part`, after);
  console.log(JSON.stringify({ loss: sum / steps, tokens: text.length }));
}

const option = (value) => ({ type: 'string', ...(value === undefined ? {} : { default: value }) });
const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: {
    hidden: option('256'),
    seed: option('1'),
    data: option(),
    part: option('0'),
    parts: option('1'),
    round: option('1'),
    steps: option('100'),
    'batch-size': option('16'),
    window: option('64'),
    'learning-rate': option('0.003'),
  },
});
const [verb, ...paths] = positionals;
if (verb === 'create' && paths.length === 1) await create(paths[0], values);
else if (verb === 'train' && paths.length === 2 && values.data) await train(...paths, values);
else {
  console.error('node learner.mjs create FILE | node learner.mjs train BEFORE AFTER --data FILE');
  process.exitCode = 2;
}
