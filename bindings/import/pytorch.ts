/**
 * gatewise/import/pytorch: the files that `torch.save` writes, a zip file with a pickle and the numbers. The pickle is read, never
 * run: it can name ordered dicts, tensors, parameters and storages, and nothing else.
 *
 * @module
 */
import { FormatError, UnsupportedError } from '../index.js';
import { BYTES, type Dtype, floats } from './dtypes.js';
import { bytesOf, guarded, isZip, library, sizeOf, type Tensor, unzip } from './files.js';

export type { TensorFile } from '../files/safetensors.js';
export type { Model } from '../index.js';
export type { Tensor } from './files.js';
export { readSafetensors } from './safetensors.js';
export { type LoadStateDictOptions, loadStateDict } from './state-dict.js';

/** The classes of storages: torch/storage.py of PyTorch 2. */
const STORAGES: Readonly<Record<string, Dtype>> = {
  DoubleStorage: 'F64',
  FloatStorage: 'F32',
  HalfStorage: 'F16',
  BFloat16Storage: 'BF16',
  LongStorage: 'I64',
  IntStorage: 'I32',
  ShortStorage: 'I16',
  CharStorage: 'I8',
  ByteStorage: 'U8',
  BoolStorage: 'BOOL',
};

/** Numbers that tensors look at. */
class Storage {
  constructor(
    readonly dtype: Dtype,
    readonly key: string,
    readonly count: number,
  ) {}
}

/** A tensor as the pickle tells of it. */
class View {
  constructor(
    readonly storage: Storage,
    readonly offset: number,
    readonly shape: readonly number[],
    readonly strides: readonly number[],
  ) {}
}

/** More numbers than this are no weights. */
const MOST = 2 ** 30;

/**
 * Reads the tensors of a `.pt` or `.pth` file: a state dict, or dicts and lists of tensors, whose keys are joined by dots
 * (`model.rnn.weight_ih_l0`). float64, float16 and bfloat16 become float32, and so do whole numbers up to 2^24. What is not a
 * tensor, say the number of an epoch, is left out.
 *
 * Needs the packages `fflate` and `pickleparser`.
 *
 * @throws FormatError for a file that is damaged, and for one whose pickle names anything but tensors and dicts: a whole module, say
 *
 * @example
 * ```js
 * import { readFileSync } from 'node:fs';
 * import { readPyTorch } from 'gatewise/import/pytorch';
 *
 * const tensors = await readPyTorch(readFileSync('checkpoint.pth'));
 * console.log(tensors.get('model.fc.weight').shape); // [ 1, 5 ]
 * ```
 */
export async function readPyTorch(bytes: Uint8Array | ArrayBuffer): Promise<Map<string, Tensor>> {
  const file = bytesOf(bytes);
  if (!isZip(file)) {
    throw new FormatError(
      file[0] === 0x80
        ? 'the file is a bare pickle, as PyTorch before 1.6 wrote it: load it there and save it with a newer version'
        : 'the file is not a zip file, which torch.save writes',
    );
  }
  const entries = await unzip(file);
  const path = Object.keys(entries).find((name) => /^[^/]+\/data\.pkl$/.test(name));
  if (path === undefined) throw new FormatError('the zip file has no data.pkl: torch.save did not write it');
  const root = path.slice(0, -'data.pkl'.length);
  const order = entries[`${root}byteorder`];
  if (order && new TextDecoder().decode(order).trim() !== 'little') {
    throw new UnsupportedError('byteorder: the numbers of the file are big-endian; expected little-endian');
  }
  const tensors = new Map<string, Tensor>();
  const top = await unpickle(entries[path]);
  if (!(top instanceof Map)) throw new FormatError('the file holds no dict; expected a state dict');
  collect(top, (name, view) => tensors.set(name, materialize(name, view, entries[`${root}data/${view.storage.key}`])));
  if (tensors.size === 0) throw new FormatError('the file holds no tensors; expected at least one');
  return tensors;
}

const isSize = (n: unknown): n is number => Number.isSafeInteger(n) && (n as number) >= 0;
const isSizes = (list: unknown): list is number[] => Array.isArray(list) && list.every(isSize);

/** What the pickle can call. */
const CALLS: Readonly<Record<string, (...args: unknown[]) => unknown>> = {
  'collections.OrderedDict': () => new Map(),
  'torch._utils._rebuild_tensor_v2': (storage, offset, shape, strides, ...[, , metadata]) => {
    if (!(storage instanceof Storage) || !isSize(offset) || !isSizes(shape) || !isSizes(strides)) {
      throw new FormatError(
        'the pickle describes a tensor in a way that is not known: expected storage, offset, sizes, strides',
      );
    }
    if (shape.length !== strides.length) {
      throw new FormatError(`the pickle describes a tensor of ${shape.length} sizes and ${strides.length} strides`);
    }
    // bits that say that the numbers have to be negated or conjugated first
    if (metadata instanceof Map && metadata.size > 0)
      throw new UnsupportedError('the pickle has a lazily negated tensor');
    return new View(storage, offset, shape, strides);
  },
  'torch._utils._rebuild_parameter': parameter,
  'torch._utils._rebuild_parameter_with_state': parameter,
  'torch.nn.parameter.Parameter': parameter,
};

function parameter(data: unknown): View {
  if (data instanceof View) return data;
  throw new FormatError('the pickle describes a parameter without a tensor');
}

async function unpickle(pickle: Uint8Array): Promise<unknown> {
  const module = await library('pickleparser', () => import('pickleparser'));
  const { Parser } = module.Parser ? module : module.default;
  const nameResolver = {
    resolve(scope: string, name: string): (...args: unknown[]) => unknown {
      const path = `${scope}.${name}`;
      if (scope === 'torch' && Object.hasOwn(STORAGES, name)) {
        // never called: it stands for the type in what names a storage
        return Object.assign(() => undefined, { dtype: STORAGES[name] });
      }
      // a function of its own for each use, so that nothing the pickle does to it lasts
      if (Object.hasOwn(CALLS, path)) return (...args) => CALLS[path](...args);
      throw new FormatError(
        `the pickle names ${path}, which is not read: only ordered dicts, tensors, parameters and storages are; save model.state_dict() and nothing else`,
      );
    },
  };
  const persistentResolver = {
    resolve(id: unknown): Storage {
      const [kind, type, key, , count] = Array.isArray(id) ? id : [];
      const dtype: unknown = type?.dtype;
      if (kind !== 'storage' || typeof dtype !== 'string' || !Object.hasOwn(BYTES, dtype) || !isSize(count)) {
        throw new FormatError('the pickle refers to something that is not a storage');
      }
      return new Storage(dtype as Dtype, String(key), count);
    },
  };
  const options = { nameResolver, persistentResolver, unpicklingTypeOfDictionary: 'Map' } as const;
  return guarded('the pickle is damaged', () => new Parser(options).parse(pickle));
}

/** Calls `found` with every tensor of a tree of dicts and lists. */
function collect(top: unknown, found: (name: string, view: View) => void): void {
  let visits = 0;
  const visit = (value: unknown, name: string, depth: number): void => {
    if (value instanceof View) found(name, value);
    if (!(value instanceof Map) && !Array.isArray(value)) return;
    // a dict can hold itself, or another one many times over
    if (depth > 100 || ++visits > 1_000_000) throw new FormatError(`${name}: dicts are nested too deeply`);
    // what the parser makes of an old protocol's dict: its entries are properties of the map
    if (Object.keys(value).length && value instanceof Map) {
      throw new UnsupportedError(`${name || 'the file'}: pickles of protocol 0 are not read`);
    }
    for (const [key, item] of value.entries()) visit(item, name ? `${name}.${key}` : String(key), depth + 1);
  };
  visit(top, '', 0);
}

/** The numbers of a tensor, in the order of its shape, whatever its strides are. */
function materialize(name: string, view: View, bytes: Uint8Array | undefined): Tensor {
  const { storage, offset, shape, strides } = view;
  const { dtype, count, key } = storage;
  if (!bytes) throw new FormatError(`${name}: the file has no numbers for it (data/${key})`);
  if (bytes.length < count * BYTES[dtype]) {
    throw new FormatError(`${name}: data/${key} has ${bytes.length} bytes, expected ${count * BYTES[dtype]}`);
  }
  const size = sizeOf(shape);
  if (size > MOST) throw new FormatError(`${name}: shape [${shape.join(', ')}] is too large`);
  const last = shape.reduce((at, n, d) => at + (n - 1) * strides[d], offset);
  if (size > 0 && last >= count) {
    throw new FormatError(`${name}: its last number is number ${last} of data/${key}, which has ${count}`);
  }
  if (shape.every((n, d) => n === 1 || strides[d] === sizeOf(shape.slice(d + 1)))) {
    return { shape, data: floats(name, dtype, bytes.subarray(offset * BYTES[dtype]), size) };
  }
  const index = (i: number): number => {
    let at = offset;
    let rest = i;
    for (let d = shape.length - 1; d >= 0; d--) {
      at += (rest % shape[d]) * strides[d];
      rest = Math.floor(rest / shape[d]);
    }
    return at;
  };
  return { shape, data: floats(name, dtype, bytes, size, index) };
}
