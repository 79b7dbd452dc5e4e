/** Generation of tokens by one call of the core: embedding, recurrent layers and output layer run there, step after step. */
import { Gen } from '../../assembly/layout.js';
import { block } from '../core/block.js';
import { align } from '../core/runtime.js';
import type { Random } from '../random.js';
import type { Tape } from '../tape.js';
import type { Embedding } from './embedding.js';
import type { Linear } from './linear.js';
import type { SamplingOptions } from './predict.js';
import { type Call, prepare, type Stack } from './recurrent/call.js';
import { leave, type State } from './recurrent/state.js';

/**
 * Draws tokens one after the other, each from the distribution that follows the one before.
 *
 * @param layers the layers, which run forward in time
 * @param token the last token that was read
 * @param state of one sequence, before `token`; overwritten with the state before the last token drawn
 * @param count number of tokens
 * @param sampling checked, with its defaults: see `checkSampling`
 * @param random one block of its stream `sample` is used per token
 * @returns [count]
 */
export function generateTokens(
  tape: Tape,
  { embedding, rnn, head }: { embedding: Embedding; rnn: Stack; head: Linear },
  token: number,
  state: State,
  count: number,
  { temperature, topK, topP }: { readonly [K in keyof SamplingOptions]-?: number },
  random: Random,
): Int32Array {
  const { runtime } = tape;
  const [V, E] = embedding.weight.shape;
  // each layer reads the final slot of the one below; the first reads what the core looks up
  let rows = { at: runtime.take(align(4 * E)), ld: align(4 * E), T: 1, B: 1 };
  const calls = rnn.directions.map((layer, l): Call => {
    const initial = { h: state.h[l], c: state.c[l] };
    const call = prepare(layer, tape, rows, initial, { reverse: false, keep: false });
    rows = { ...rows, at: call.hT.at, ld: call.hT.ld };
    return call;
  });
  const seqs = tape.ints(calls.map(({ s }) => s));
  const { weight, bias } = head.packed();
  const tokens = runtime.take(4 * count);
  const g = block(runtime, Gen.fields, {
    [Gen.layers]: calls.length,
    [Gen.seqs]: seqs,
    [Gen.embedding]: embedding.weight.at,
    [Gen.E]: E,
    [Gen.head]: weight,
    [Gen.bias]: bias,
    [Gen.logits]: runtime.take(align(4 * V)),
    [Gen.V]: V,
    [Gen.scratch]: runtime.take(2 * align(4 * V)),
    [Gen.token]: token,
  });
  random.use('sample', (seed, stream, first) => {
    runtime.core.generateTokens(g, tokens, count, temperature, topK, topP, seed, stream, first);
    return first + count;
  });
  calls.forEach(({ h0, c0 }, l) => {
    leave(tape, state.h[l], h0);
    if (c0) leave(tape, state.c[l], c0);
  });
  return tape.readInts(tokens, count);
}
