/**
 * References of the benchmarks, in a module of its own: loops that reach the peak of this build's multiply-add, and the work of the
 * core done one float at a time. Not part of the package.
 */
import { slot } from './at';
import { simd } from './simd';

/*
 * Loops of multiply-adds whose sums stay in registers. The fastest of them on a processor is the peak of this build: which one that is
 * depends on latencies, units and registers (bench/peak.ts). A round does 8 operations a chain.
 *
 * Off the chain, c = c + a·p: a round of a chain waits for one addition. The factors p … stay in registers. Two others, a and b, are
 * loaded in each round from 2 KB, which takes none of the units that multiply and add. They must differ from round to round. Compilers
 * otherwise multiply before the loop, or once for several rounds, even where a and b only trade places: a loop like that reads a third
 * more than the processor can do. `at`: p …, the chains, 64 pairs of a and b; the round that has n to go takes pair n mod 64.
 *
 * On the chain, c = c·x + y: a round of a chain waits for the product as well, which takes no time of its own where multiply-add is one
 * instruction. `at`: x, y, the chains. 16 chains are for processors with 32 registers.
 */

/** 4 chains, the product off the chain. */
export function offChain4(at: usize, rounds: i32): void {
  const p = v128.load(at);
  const q = v128.load(at, 16);
  const c = at + 32;
  let c0 = v128.load(c);
  let c1 = v128.load(c, 16);
  let c2 = v128.load(c, 32);
  let c3 = v128.load(c, 48);
  do {
    const e = c + 64 + ((rounds & 63) << 5);
    const a = v128.load(e);
    const b = v128.load(e, 16);
    c0 = simd.fma(a, p, c0);
    c1 = simd.fma(b, p, c1);
    c2 = simd.fma(a, q, c2);
    c3 = simd.fma(b, q, c3);
  } while (--rounds);
  v128.store(c, c0);
  v128.store(c, c1, 16);
  v128.store(c, c2, 32);
  v128.store(c, c3, 48);
}

/** 6 chains, the product off the chain. */
export function offChain6(at: usize, rounds: i32): void {
  const p = v128.load(at);
  const q = v128.load(at, 16);
  const r = v128.load(at, 32);
  const c = at + 48;
  let c0 = v128.load(c);
  let c1 = v128.load(c, 16);
  let c2 = v128.load(c, 32);
  let c3 = v128.load(c, 48);
  let c4 = v128.load(c, 64);
  let c5 = v128.load(c, 80);
  do {
    const e = c + 96 + ((rounds & 63) << 5);
    const a = v128.load(e);
    const b = v128.load(e, 16);
    c0 = simd.fma(a, p, c0);
    c1 = simd.fma(b, p, c1);
    c2 = simd.fma(a, q, c2);
    c3 = simd.fma(b, q, c3);
    c4 = simd.fma(a, r, c4);
    c5 = simd.fma(b, r, c5);
  } while (--rounds);
  v128.store(c, c0);
  v128.store(c, c1, 16);
  v128.store(c, c2, 32);
  v128.store(c, c3, 48);
  v128.store(c, c4, 64);
  v128.store(c, c5, 80);
}

/** 8 chains, the product off the chain. */
export function offChain8(at: usize, rounds: i32): void {
  const p = v128.load(at);
  const q = v128.load(at, 16);
  const r = v128.load(at, 32);
  const s = v128.load(at, 48);
  const c = at + 64;
  let c0 = v128.load(c);
  let c1 = v128.load(c, 16);
  let c2 = v128.load(c, 32);
  let c3 = v128.load(c, 48);
  let c4 = v128.load(c, 64);
  let c5 = v128.load(c, 80);
  let c6 = v128.load(c, 96);
  let c7 = v128.load(c, 112);
  do {
    const e = c + 128 + ((rounds & 63) << 5);
    const a = v128.load(e);
    const b = v128.load(e, 16);
    c0 = simd.fma(a, p, c0);
    c1 = simd.fma(b, p, c1);
    c2 = simd.fma(a, q, c2);
    c3 = simd.fma(b, q, c3);
    c4 = simd.fma(a, r, c4);
    c5 = simd.fma(b, r, c5);
    c6 = simd.fma(a, s, c6);
    c7 = simd.fma(b, s, c7);
  } while (--rounds);
  v128.store(c, c0);
  v128.store(c, c1, 16);
  v128.store(c, c2, 32);
  v128.store(c, c3, 48);
  v128.store(c, c4, 64);
  v128.store(c, c5, 80);
  v128.store(c, c6, 96);
  v128.store(c, c7, 112);
}

/** 10 chains, the product on the chain. */
export function onChain10(at: usize, rounds: i32): void {
  const x = v128.load(at);
  const y = v128.load(at, 16);
  const c = at + 32;
  let c0 = v128.load(c);
  let c1 = v128.load(c, 16);
  let c2 = v128.load(c, 32);
  let c3 = v128.load(c, 48);
  let c4 = v128.load(c, 64);
  let c5 = v128.load(c, 80);
  let c6 = v128.load(c, 96);
  let c7 = v128.load(c, 112);
  let c8 = v128.load(c, 128);
  let c9 = v128.load(c, 144);
  do {
    c0 = simd.fma(c0, x, y);
    c1 = simd.fma(c1, x, y);
    c2 = simd.fma(c2, x, y);
    c3 = simd.fma(c3, x, y);
    c4 = simd.fma(c4, x, y);
    c5 = simd.fma(c5, x, y);
    c6 = simd.fma(c6, x, y);
    c7 = simd.fma(c7, x, y);
    c8 = simd.fma(c8, x, y);
    c9 = simd.fma(c9, x, y);
  } while (--rounds);
  v128.store(c, c0);
  v128.store(c, c1, 16);
  v128.store(c, c2, 32);
  v128.store(c, c3, 48);
  v128.store(c, c4, 64);
  v128.store(c, c5, 80);
  v128.store(c, c6, 96);
  v128.store(c, c7, 112);
  v128.store(c, c8, 128);
  v128.store(c, c9, 144);
}

/** 12 chains, the product on the chain. */
export function onChain12(at: usize, rounds: i32): void {
  const x = v128.load(at);
  const y = v128.load(at, 16);
  const c = at + 32;
  let c0 = v128.load(c);
  let c1 = v128.load(c, 16);
  let c2 = v128.load(c, 32);
  let c3 = v128.load(c, 48);
  let c4 = v128.load(c, 64);
  let c5 = v128.load(c, 80);
  let c6 = v128.load(c, 96);
  let c7 = v128.load(c, 112);
  let c8 = v128.load(c, 128);
  let c9 = v128.load(c, 144);
  let c10 = v128.load(c, 160);
  let c11 = v128.load(c, 176);
  do {
    c0 = simd.fma(c0, x, y);
    c1 = simd.fma(c1, x, y);
    c2 = simd.fma(c2, x, y);
    c3 = simd.fma(c3, x, y);
    c4 = simd.fma(c4, x, y);
    c5 = simd.fma(c5, x, y);
    c6 = simd.fma(c6, x, y);
    c7 = simd.fma(c7, x, y);
    c8 = simd.fma(c8, x, y);
    c9 = simd.fma(c9, x, y);
    c10 = simd.fma(c10, x, y);
    c11 = simd.fma(c11, x, y);
  } while (--rounds);
  v128.store(c, c0);
  v128.store(c, c1, 16);
  v128.store(c, c2, 32);
  v128.store(c, c3, 48);
  v128.store(c, c4, 64);
  v128.store(c, c5, 80);
  v128.store(c, c6, 96);
  v128.store(c, c7, 112);
  v128.store(c, c8, 128);
  v128.store(c, c9, 144);
  v128.store(c, c10, 160);
  v128.store(c, c11, 176);
}

/** 16 chains, the product on the chain. */
export function onChain16(at: usize, rounds: i32): void {
  const x = v128.load(at);
  const y = v128.load(at, 16);
  const c = at + 32;
  let c0 = v128.load(c);
  let c1 = v128.load(c, 16);
  let c2 = v128.load(c, 32);
  let c3 = v128.load(c, 48);
  let c4 = v128.load(c, 64);
  let c5 = v128.load(c, 80);
  let c6 = v128.load(c, 96);
  let c7 = v128.load(c, 112);
  let c8 = v128.load(c, 128);
  let c9 = v128.load(c, 144);
  let c10 = v128.load(c, 160);
  let c11 = v128.load(c, 176);
  let c12 = v128.load(c, 192);
  let c13 = v128.load(c, 208);
  let c14 = v128.load(c, 224);
  let c15 = v128.load(c, 240);
  do {
    c0 = simd.fma(c0, x, y);
    c1 = simd.fma(c1, x, y);
    c2 = simd.fma(c2, x, y);
    c3 = simd.fma(c3, x, y);
    c4 = simd.fma(c4, x, y);
    c5 = simd.fma(c5, x, y);
    c6 = simd.fma(c6, x, y);
    c7 = simd.fma(c7, x, y);
    c8 = simd.fma(c8, x, y);
    c9 = simd.fma(c9, x, y);
    c10 = simd.fma(c10, x, y);
    c11 = simd.fma(c11, x, y);
    c12 = simd.fma(c12, x, y);
    c13 = simd.fma(c13, x, y);
    c14 = simd.fma(c14, x, y);
    c15 = simd.fma(c15, x, y);
  } while (--rounds);
  v128.store(c, c0);
  v128.store(c, c1, 16);
  v128.store(c, c2, 32);
  v128.store(c, c3, 48);
  v128.store(c, c4, 64);
  v128.store(c, c5, 80);
  v128.store(c, c6, 96);
  v128.store(c, c7, 112);
  v128.store(c, c8, 128);
  v128.store(c, c9, 144);
  v128.store(c, c10, 160);
  v128.store(c, c11, 176);
  v128.store(c, c12, 192);
  v128.store(c, c13, 208);
  v128.store(c, c14, 224);
  v128.store(c, c15, 240);
}

/** c [M,N] = a [M,K] · bᵀ [N,K] */
export function scalarGemm(c: usize, a: usize, b: usize, M: i32, N: i32, K: i32): void {
  for (let m = 0; m < M; m++) {
    for (let n = 0; n < N; n++) {
      let sum: f32 = 0;
      for (let k = 0; k < K; k++) sum += load<f32>(slot(a, m * K + k)) * load<f32>(slot(b, n * K + k));
      store<f32>(slot(c, m * N + n), sum);
    }
  }
}

function sigmoid(x: f32): f32 {
  return 1 / (1 + Mathf.exp(-x));
}

/** y = σ(x), y = tanh x */
export function scalarSigmoid(y: usize, x: usize, n: i32): void {
  for (let i = 0; i < n; i++) store<f32>(slot(y, i), sigmoid(load<f32>(slot(x, i))));
}

export function scalarTanh(y: usize, x: usize, n: i32): void {
  for (let i = 0; i < n; i++) store<f32>(slot(y, i), Mathf.tanh(load<f32>(slot(x, i))));
}

/**
 * LSTM over a sequence, nothing packed or padded.
 *
 *     h [T+1,B,H], c [B,H] in/out    x [T,B,I]    wx [4H,I]    wh [4H,H]    b [4H]    a [4H] scratch
 */
export function scalarLstm(
  h: usize,
  c: usize,
  x: usize,
  wx: usize,
  wh: usize,
  b: usize,
  a: usize,
  T: i32,
  B: i32,
  I: i32,
  H: i32,
): void {
  for (let r = 0; r < T * B; r++) {
    const xr = slot(x, r * I);
    const h0 = slot(h, r * H);
    const h1 = slot(h, (r + B) * H);
    const cr = slot(c, (r % B) * H);
    for (let j = 0; j < 4 * H; j++) {
      let sum = load<f32>(slot(b, j));
      for (let k = 0; k < I; k++) sum += load<f32>(slot(xr, k)) * load<f32>(slot(wx, j * I + k));
      for (let k = 0; k < H; k++) sum += load<f32>(slot(h0, k)) * load<f32>(slot(wh, j * H + k));
      store<f32>(slot(a, j), sum);
    }
    for (let u = 0; u < H; u++) {
      const i = sigmoid(load<f32>(slot(a, u)));
      const f = sigmoid(load<f32>(slot(a, H + u)));
      const g = Mathf.tanh(load<f32>(slot(a, 2 * H + u)));
      const o = sigmoid(load<f32>(slot(a, 3 * H + u)));
      const next = f * load<f32>(slot(cr, u)) + i * g;
      store<f32>(slot(cr, u), next);
      store<f32>(slot(h1, u), o * Mathf.tanh(next));
    }
  }
}
