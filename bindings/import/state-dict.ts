/** Tensors by PyTorch's names into a model: everything fits, or nothing changes. */
import * as check from '../check.js';
import { FormatError, type Model } from '../index.js';
import { sizeOf, type Tensor } from './files.js';

export interface LoadStateDictOptions {
  /**
   * How a tensor's name becomes the name of a parameter: a function, or prefixes and what replaces them, of which the longest that
   * fits counts. `null` leaves the tensor out. A name that no prefix fits stays as it is.
   */
  rename?: ((name: string) => string | null) | Readonly<Record<string, string | null>> | undefined;
}

/**
 * Writes tensors into the parameters of a model. Names and shapes are PyTorch's: `rnn.weight_ih_l0` [4H,I], `head.weight` [O,I].
 *
 * @param tensors by name, say from `readPyTorch`
 * @throws FormatError that lists what is missing, what was not expected and what has another shape; the model is unchanged then
 *
 * @example
 * ```js
 * import { readFileSync } from 'node:fs';
 * import { Linear, Model, Recurrent, Runtime } from 'gatewise';
 * import { loadStateDict, readPyTorch } from 'gatewise/import/pytorch';
 *
 * const model = new Model(await Runtime.create(), 1, (b) => ({
 *   rnn: new Recurrent(b, 'rnn', { cell: 'gru', inputSize: 2, hiddenSize: 5 }),
 *   head: new Linear(b, 'head', { inputSize: 5, outputSize: 1 }),
 * }));
 * const tensors = await readPyTorch(readFileSync('checkpoint.pth'));
 * const rename = { 'model.gru.': 'rnn.', 'model.fc.': 'head.', 'optimizer.': null };
 * loadStateDict(model, tensors, { rename });
 * console.log(model.get('head.bias').length); // 1
 * ```
 */
export function loadStateDict(
  model: Model<unknown>,
  tensors: ReadonlyMap<string, Tensor>,
  options: LoadStateDictOptions = {},
): void {
  check.model(model);
  check.made('tensors', tensors, 'entries', 'a Map of tensors by name', 'size');
  if (Object.prototype.toString.call(tensors) !== '[object Map]')
    check.fail('tensors', 'a Map of tensors by name', tensors);
  check.options('loadStateDict', options, ['rename']);
  const rename = renaming(options.rename);
  const given = new Map<string, Tensor>();
  const sources = new Map<string, string>();
  const faults: string[] = [];
  for (const [source, tensor] of tensors) {
    const name = rename(source);
    if (name === null) continue;
    const other = sources.get(name);
    if (other !== undefined) faults.push(`'${other}' and '${source}' both become '${name}'`);
    sources.set(name, source);
    given.set(name, tensor);
  }
  const missing = model.parameters.filter(({ name }) => !given.has(name)).map(({ name }) => name);
  const shapes = new Map(model.parameters.map(({ name, shape }) => [name, shape]));
  const unexpected: string[] = [];
  const misshapen: string[] = [];
  for (const [name, tensor] of given) {
    const { shape, data } = tensor ?? ({} as Partial<Tensor>);
    if (!Array.isArray(shape) || !check.isFloats(data)) check.fail(`'${name}'`, '{ shape, data }', tensor);
    const want = shapes.get(name);
    const source = sources.get(name);
    const called = source === name ? name : `${name} (from ${source})`;
    if (!want) unexpected.push(called);
    else if (want.join() !== shape.join()) {
      misshapen.push(`${called} is [${shape.join(', ')}], expected [${want.join(', ')}]`);
    } else if (data.length !== sizeOf(shape)) {
      misshapen.push(`${called} has ${data.length} numbers, expected ${sizeOf(shape)}`);
    }
  }
  if (missing.length) faults.push(`missing ${check.list(missing, 20)}`);
  if (unexpected.length) faults.push(`unexpected ${check.list(unexpected, 20)}`);
  if (misshapen.length) faults.push(`misshapen ${check.list(misshapen, 20)}`);
  if (faults.length) throw new FormatError(`the tensors do not fit the model: ${faults.join('; ')}`);
  for (const [name, { data }] of given) check.numbers(name, data, data.length, '[N]');
  for (const [name, { data }] of given) model.set(name, data);
}

function renaming(rename: LoadStateDictOptions['rename']): (name: string) => string | null {
  if (rename === undefined) return (name) => name;
  if (typeof rename === 'function') return rename;
  if (typeof rename !== 'object' || rename === null) {
    check.fail('rename', 'a function, or an object from prefix to prefix', rename);
  }
  const prefixes = Object.entries(rename).sort(([a], [b]) => b.length - a.length);
  for (const [prefix, to] of prefixes) if (to !== null) check.text(`rename['${prefix}']`, to);
  return (name) => {
    const found = prefixes.find(([prefix]) => name.startsWith(prefix));
    if (!found) return name;
    const [prefix, to] = found;
    return to === null ? null : to + name.slice(prefix.length);
  };
}
