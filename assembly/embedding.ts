import { rowBytes, slot } from './at';
import { padRow } from './rows';

/**
 * Embedding: y_r = W[token_r].
 *
 *     y       [R,F]  overwritten
 *     w       [V,F]  rows F floats apart
 *     tokens  [R]    i32 in 0…V-1; a negative one: the row is 0
 */
export function embeddingForward(y: usize, ldy: usize, w: usize, tokens: usize, R: i32, F: i32): void {
  for (let r = 0; r < R; r++, y += ldy, tokens += 4) {
    const token = load<i32>(tokens);
    if (token < 0) memory.fill(y, 0, rowBytes(F));
    else padRow(y, slot(w, token * F), F);
  }
}

/**
 * dW[token_r] += dy_r, in the order of r; token `skip`, and negative ones, have no gradient.
 *
 *     dw  [V,F]  accumulated
 */
export function embeddingBackward(dw: usize, dy: usize, lddy: usize, tokens: usize, R: i32, F: i32, skip: i32): void {
  for (let r = 0; r < R; r++, dy += lddy, tokens += 4) {
    const token = load<i32>(tokens);
    if (token === skip || token < 0) continue;
    let to = slot(dw, token * F);
    let from = dy;
    for (const end = dy + ((<usize>(F & ~3)) << 2); from < end; from += 16, to += 16) {
      v128.store(to, f32x4.add(v128.load(to), v128.load(from)));
    }
    for (const end = dy + ((<usize>F) << 2); from < end; from += 4, to += 4) {
      store<f32>(to, load<f32>(to) + load<f32>(from));
    }
  }
}
