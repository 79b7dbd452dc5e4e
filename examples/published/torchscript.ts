/** The tensors of a TorchScript file, a zip with a pickle of modules, by their paths. Its code is not read, and classes are empty. */
import { FormatError, type Tensor } from 'gatewise';

interface View {
  readonly storage: { readonly type: string; readonly key: string };
  readonly offset: number;
  readonly shape: readonly number[];
  readonly strides: readonly number[];
}

/** What the pickle names: tensors are described, the rest becomes an object without methods. */
const nameResolver = {
  resolve(_module: string, name: string) {
    if (name === '_rebuild_tensor_v2') {
      return (storage: View['storage'], offset: number, shape: number[], strides: number[]): View => {
        return { storage, offset, shape, strides };
      };
    }
    return Object.defineProperty(function Empty() {}, 'name', { value: name });
  },
};

const persistentResolver = {
  resolve(id: unknown): View['storage'] {
    const [, type, key] = Array.isArray(id) ? id : [];
    return { type: String(type?.name), key: String(key) };
  },
};

const isObject = (value: unknown): value is object => typeof value === 'object' && value !== null;
const isView = (value: object): value is View => 'storage' in value && 'strides' in value;

/** @param files the entries of the zip file */
export async function scriptTensors(files: Readonly<Record<string, Uint8Array>>): Promise<Map<string, Tensor>> {
  const module = await import('pickleparser');
  const { Parser } = module.Parser ? module : module.default;
  const path = Object.keys(files).find((name) => name.endsWith('/data.pkl'));
  if (path === undefined) throw new FormatError('the zip file has no data.pkl');
  const root = path.slice(0, -'.pkl'.length);
  const tensors = new Map<string, Tensor>();
  const visit = (value: unknown, name: string) => {
    if (!isObject(value)) return;
    if (isView(value)) tensors.set(name, materialized(name, value, files[`${root}/${value.storage.key}`]));
    else for (const [key, item] of Object.entries(value)) visit(item, name ? `${name}.${key}` : key);
  };
  visit(new Parser({ nameResolver, persistentResolver }).parse(files[path]), '');
  return tensors;
}

function materialized(name: string, { storage, offset, shape, strides }: View, bytes: Uint8Array | undefined): Tensor {
  const contiguous = shape.every(
    (n, d) => n === 1 || strides[d] === shape.slice(d + 1).reduce((n, size) => n * size, 1),
  );
  if (!bytes || storage.type !== 'FloatStorage' || !contiguous) {
    throw new FormatError(`${name}: expected float32 in the order of its shape`);
  }
  const count = shape.reduce((n, size) => n * size, 1);
  return { shape, data: new Float32Array(bytes.slice(4 * offset, 4 * (offset + count)).buffer) };
}
