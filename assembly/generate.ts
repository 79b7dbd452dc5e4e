import { at, lines, panelsOf, slot } from './at';
import { embeddingForward } from './embedding';
import { gemm } from './gemm';
import { Gen, Seq } from './layout';
import { uniform } from './random';
import { recurrentForward } from './recurrent';
import { sample } from './sampling';

/**
 * Draws `count` tokens, each from the model's answer to the one before.
 *
 *     g       a `Gen` block; its layers keep their state in slot 0 of h and in c, in/out
 *     tokens  [count] i32  overwritten
 *     block   number of the first random block; one is used per token
 */
export function generateTokens(
  g: usize,
  tokens: usize,
  count: i32,
  temperature: f32,
  topK: i32,
  topP: f32,
  seed: f64,
  stream: u32,
  block: f64,
): void {
  const layers = at.i32(g, Gen.layers);
  const seqs = at.ptr(g, Gen.seqs);
  const E = at.i32(g, Gen.E);
  const V = at.i32(g, Gen.V);
  const logits = at.ptr(g, Gen.logits);
  const head = at.ptr(g, Gen.head);
  const bias = at.ptr(g, Gen.bias);
  const scratch = at.ptr(g, Gen.scratch);
  const embedding = at.ptr(g, Gen.embedding);
  const current = slot(g, Gen.token);
  const input = at.ptr(load<usize>(seqs), Seq.x);
  for (let n = 0; n < count; n++) {
    embeddingForward(input, 0, embedding, current, 1, E);
    let out: usize = 0;
    let P = 0;
    for (let l = 0; l < layers; l++) {
      const s = load<usize>(slot(seqs, l));
      recurrentForward(s);
      P = at.i32(s, Seq.P);
      const h = at.ptr(s, Seq.h);
      const ldh = at.ptr(s, Seq.ldh);
      out = h + ldh;
      memory.copy(h, out, ldh);
    }
    gemm(logits, 0, bias, 0, out, 0, head, lines(P), 1, panelsOf(V), P);
    const token = sample(logits, scratch, V, temperature, topK, topP, uniform(seed, stream, block++));
    store<i32>(current, token);
    store<i32>(slot(tokens, n), token);
  }
}
