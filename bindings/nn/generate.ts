/** Generation of tokens by one call of the core: embedding, recurrent layers and output layer run there, step after step. */
import { Gen } from '../../assembly/layout.js';
import { align } from '../core/runtime.js';
import type { Random } from '../random.js';
import type { Tape } from '../tape.js';
import type { Embedding } from './embedding.js';
import type { Linear } from './linear.js';
import type { SamplingOptions } from './predict.js';
import type { Recurrent, State } from './recurrent.js';
import { stepCalls } from './step-calls.js';

export function generateTokens(
  tape: Tape,
  { embedding, rnn, head }: { embedding: Embedding; rnn: Recurrent; head: Linear },
  token: number,
  state: State,
  count: number,
  { temperature, topK, topP }: { readonly [K in keyof SamplingOptions]-?: number },
  random: Random,
): Int32Array {
  const { runtime } = tape;
  const [V, E] = embedding.weight.shape;
  const x = runtime.take(align(4 * E));
  const { calls, finish } = stepCalls(tape, rnn, x, state);
  const logits = runtime.take(align(4 * V));
  const scratch = runtime.take(2 * align(4 * V));
  const seqs = runtime.take(4 * calls.length);
  const out = runtime.take(4 * count);
  const g = runtime.take(4 * Gen.fields);
  const { weight, bias } = head.packed();
  runtime.writeInts(seqs, calls);
  const { i32 } = runtime;
  const f = g >> 2;
  i32[f + Gen.layers] = calls.length;
  i32[f + Gen.seqs] = seqs;
  i32[f + Gen.embedding] = embedding.weight.at;
  i32[f + Gen.E] = E;
  i32[f + Gen.head] = weight;
  i32[f + Gen.bias] = bias;
  i32[f + Gen.logits] = logits;
  i32[f + Gen.V] = V;
  i32[f + Gen.scratch] = scratch;
  i32[f + Gen.token] = token;
  random.use('sample', (seed, stream, block) => {
    runtime.core.generate(g, out, count, temperature, topK, topP, seed, stream, block);
    return block + count;
  });
  finish();
  return runtime.i32.slice(out >> 2, (out >> 2) + count);
}
