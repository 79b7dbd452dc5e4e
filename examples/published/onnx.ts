/** The float32 tensors of an ONNX file: initializers and constants, also those of branches. Field numbers are those of onnx/onnx.proto. */
import { FormatError, type Tensor } from 'gatewise';

const FLOAT = 1;

/** By the names of the initializers, and of the outputs of the constant nodes. */
export async function onnxTensors(bytes: Uint8Array): Promise<Map<string, Tensor>> {
  const { PbfReader } = await import('pbf');
  const pbf = new PbfReader(bytes);
  const tensors = new Map<string, Tensor>();
  const message = (field: (tag: number) => void) => {
    const end = pbf.readVarint() + pbf.pos;
    if (end > bytes.length) throw new FormatError(`the ONNX file is cut off at byte ${bytes.length}`);
    pbf.readFields(field, null, end);
  };
  const tensor = (output: string) => {
    const [shape, numbers]: number[][] = [[], []];
    let [name, type, raw] = [output, 0, new Uint8Array()];
    message((tag) => {
      if (tag === 1) pbf.readPackedVarint(shape);
      else if (tag === 2) type = pbf.readVarint();
      else if (tag === 4) pbf.readPackedFloat(numbers);
      else if (tag === 8) name ||= pbf.readString();
      else if (tag === 9) raw = new Uint8Array(pbf.readBytes());
    });
    if (type !== FLOAT) return;
    const data = numbers.length ? Float32Array.from(numbers) : new Float32Array(raw.slice().buffer);
    tensors.set(name, { shape, data });
  };
  const node = () => {
    let output = '';
    const attribute = (tag: number) => {
      if (tag === 5) tensor(output);
      else if (tag === 6) graph();
    };
    message((tag) => {
      if (tag === 2) output = pbf.readString();
      else if (tag === 5) message(attribute);
    });
  };
  const graph = () =>
    message((tag) => {
      if (tag === 1) node();
      else if (tag === 5) tensor('');
    });
  pbf.readFields((tag) => {
    if (tag === 7) graph();
  }, null);
  return tensors;
}
