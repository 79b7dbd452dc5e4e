/** Writes an ONNX model of one recurrent node: just enough of protobuf. Fields by the numbers of onnx.proto. */

/** What an operator calls its gates, in its order, as numbers of PyTorch's. */
const ORDER = { LSTM: [0, 3, 1, 2], GRU: [1, 0, 2], RNN: [0] };
const OPERATOR = { lstm: 'LSTM', gru: 'GRU', rnn: 'RNN' } as const;

type Bytes = Uint8Array<ArrayBuffer>;

function varint(value: number): number[] {
  const out: number[] = [];
  for (; value > 127; value = Math.floor(value / 128)) out.push((value % 128) + 128);
  return [...out, value];
}

function concat(parts: readonly (Bytes | number[])[]): Bytes {
  const out = new Uint8Array(parts.reduce((n, part) => n + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

const int = (field: number, value: number): Bytes => concat([varint(field * 8), varint(value)]);
const bytes = (field: number, value: Bytes): Bytes => concat([varint(field * 8 + 2), varint(value.length), value]);
const text = (field: number, value: string): Bytes => bytes(field, new TextEncoder().encode(value));
const message = (field: number, ...parts: Bytes[]): Bytes => bytes(field, concat(parts));

const FLOAT = 1;

/** An initializer of the graph. */
function tensor(name: string, dims: readonly number[], values: Float32Array): Bytes {
  const raw = new Uint8Array(values.slice().buffer);
  return message(5, ...dims.map((d) => int(1, d)), int(2, FLOAT), text(8, name), bytes(9, raw));
}

/** An input (11) or output (12) of the graph. */
function value(field: 11 | 12, name: string, dims: readonly number[]): Bytes {
  const shape = message(2, ...dims.map((d) => message(1, int(1, d))));
  return message(field, text(1, name), message(2, message(1, int(1, FLOAT), shape)));
}

/** Gates of `size` floats each, in the operator's order. */
function reordered(values: Float32Array, operator: keyof typeof ORDER): Float32Array {
  const order = ORDER[operator];
  const size = values.length / order.length;
  const out = new Float32Array(values.length);
  order.forEach((from, to) => {
    out.set(values.subarray(from * size, (from + 1) * size), to * size);
  });
  return out;
}

/**
 * X [T,B,I] and the initial states `h` and `c` [1,B,H] in, Y [T,1,B,H] and the final states `Y_h` and `Y_c` out.
 *
 * @param weights by PyTorch's names: `rnn.weight_ih_l0` and so on
 */
export function recurrentModel(
  cell: 'lstm' | 'gru' | 'rnn',
  { T, B, I, H }: { T: number; B: number; I: number; H: number },
  weights: Record<string, Float32Array>,
): Bytes {
  const operator = OPERATOR[cell];
  const G = ORDER[operator].length;
  const of = (name: string) => reordered(weights[`rnn.${name}_l0`], operator);
  const states = cell === 'lstm' ? ['h', 'c'] : ['h'];
  const attribute = (name: string, i: number) => message(5, text(1, name), int(3, i), int(20, 2));
  const node = message(
    1,
    ...['X', 'W', 'R', 'bias', '', ...states].map((name) => text(1, name)),
    ...['Y', ...states.map((state) => `Y_${state}`)].map((name) => text(2, name)),
    text(4, operator),
    attribute('hidden_size', H),
    ...(cell === 'gru' ? [attribute('linear_before_reset', 1)] : []),
  );
  const bias = new Float32Array(2 * G * H);
  bias.set(of('bias_ih'));
  bias.set(of('bias_hh'), G * H);
  const graph = message(
    7,
    node,
    text(2, cell),
    tensor('W', [1, G * H, I], of('weight_ih')),
    tensor('R', [1, G * H, H], of('weight_hh')),
    tensor('bias', [1, 2 * G * H], bias),
    value(11, 'X', [T, B, I]),
    ...states.map((state) => value(11, state, [1, B, H])),
    value(12, 'Y', [T, 1, B, H]),
    ...states.map((state) => value(12, `Y_${state}`, [1, B, H])),
  );
  return concat([int(1, 8), graph, message(8, text(1, ''), int(2, 17))]);
}
