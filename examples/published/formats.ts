/**
 * The formats that models are published in, recognized by their first bytes: safetensors, ONNX, PyTorch and TorchScript, Keras' HDF5,
 * NumPy's npz, arrays in C. Tensors keep their names. Nothing in a file is run.
 */
import { FormatError, type Tensor } from 'gatewise';
import { readPyTorch, readSafetensors } from 'gatewise/import/pytorch';
import type { Dataset, Group } from 'jsfive';
import { onnxTensors } from './onnx.js';
import { scriptTensors } from './torchscript.js';
import type { Weights } from './weights.js';

type Tensors = ReadonlyMap<string, Tensor>;

/** @throws FormatError for other formats */
export async function weightsOf(bytes: Uint8Array): Promise<Weights> {
  const begins = (...start: number[]) => start.every((byte, i) => bytes[i] === byte);
  if (begins(0x50, 0x4b)) return { tensors: await zipTensors(bytes) };
  if (begins(0x89, 0x48, 0x44, 0x46)) return { tensors: await hdf5Tensors(bytes) };
  // the length of the header in 8 bytes, then JSON
  if (bytes[7] === 0 && bytes[8] === 0x7b) {
    const { tensors, metadata } = readSafetensors(bytes);
    return { tensors, ...(metadata.vocab && { vocabulary: JSON.parse(metadata.vocab) }) };
  }
  // the version, which is the first field of an ONNX file
  if (begins(0x08)) return { tensors: await onnxTensors(bytes) };
  return { tensors: sourceTensors(new TextDecoder().decode(bytes)) };
}

async function zipTensors(bytes: Uint8Array): Promise<Tensors> {
  const { unzipSync } = await import('fflate');
  const files = unzipSync(bytes);
  const names = Object.keys(files);
  const arrays = names.filter((name) => name.endsWith('.npy'));
  if (arrays.length)
    return new Map(arrays.map((name) => [name.slice(0, -'.npy'.length), numpyArray(name, files[name])]));
  return names.some((name) => /^[^/]+\/code\//.test(name)) ? scriptTensors(files) : readPyTorch(bytes);
}

/** NumPy's format: a magic number, the length of the header, the header as a Python dict, the numbers. */
function numpyArray(name: string, bytes: Uint8Array): Tensor {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const [start, length] = bytes[6] > 1 ? [12, view.getUint32(8, true)] : [10, view.getUint16(8, true)];
  const header = new TextDecoder().decode(bytes.subarray(start, start + length));
  const sizes = /'shape': \(([\d, ]*)\)/.exec(header)?.[1];
  if (sizes === undefined || !/'descr': '<f4'/.test(header) || !/'fortran_order': False/.test(header)) {
    throw new FormatError(`${name}: expected float32 in C order, got ${header.trim()}`);
  }
  const shape = sizes.split(',').flatMap((size) => (size.trim() ? [Number(size)] : []));
  return { shape, data: new Float32Array(bytes.slice(start + length).buffer) };
}

/** The weights of Keras' layers: `lstm/lstm/kernel:0` is `lstm/kernel`. */
async function hdf5Tensors(bytes: Uint8Array): Promise<Tensors> {
  const { File } = await import('jsfive');
  const tensors = new Map<string, Tensor>();
  const visit = (at: Group | Dataset, path: readonly string[]): void => {
    if ('shape' in at) {
      const name = path
        .filter((part, i) => part !== path[i - 1])
        .join('/')
        .replace(/:0$/, '');
      tensors.set(name, { shape: at.shape, data: Float32Array.from(at.value) });
    } else for (const key of at.keys) visit(at.get(key), [...path, key]);
  };
  visit(new File(bytes.slice().buffer), []);
  return tensors;
}

/** Arrays of whole numbers in C, as flat tensors. */
function sourceTensors(text: string): Tensors {
  const arrays = [...text.matchAll(/const \w+ (\w+)\[\d+\] = \{([-\d,\s]*)\}/g)];
  if (!arrays.length) throw new FormatError('the file is of no format that published models have');
  return new Map(
    arrays.map(([, name, list]) => {
      const data = Float32Array.from(list.split(','), Number);
      return [name, { shape: [data.length], data }];
    }),
  );
}
