/**
 * One step of an external memory with a read and a write head: Graves, Wayne & Danihelka 2014, arXiv:1410.5401v2, equations 1 to 9. Keys and
 * additions pass tanh, and the memory is written before it is read.
 *
 *     k = tanh(k̂)   β = softplus(β̂)   g = σ(ĝ)   s = softmax(ŝ)   γ = 1 + softplus(γ̂)   e = σ(ê)   a = tanh(â)
 *
 *     K_i = k·M_i / (‖k‖ ‖M_i‖)                 content     ‖x‖ = √(x·x + 10⁻⁸)
 *     c = softmax(β K)
 *     v = g c + (1 - g) w′                       interpolation, w′ the weights of the step before
 *     u_i = Σ_j v_(i-j) s_j + 10⁻⁸               circular shift
 *     w = softmax(γ ln u)                        sharpening: u^γ / Σ u^γ
 *
 *     M_i ← M_i ⊙ (1 - w_i e) + w_i a            with the weights of the write head
 *     y = Σ_i w_i M_i                            with those of the read head
 */
import { at } from '../at';
import { expArray, log1pArray, logArray, sigmoidArray, tanhArray } from './core';
import { Step } from './layout';

const EPSILON: f32 = 1e-8;

/** n up to the next multiple of four. */
function up(n: i32): i32 {
  return (n + 3) & ~3;
}

function bytes(n: i32): usize {
  return (<usize>n) << 2;
}

/** What a head keeps: k [W], β g γ, their σ, s [C], ln u, u, c, v, K, ‖M_i‖ [N] each, ‖k‖; each part starts at a multiple of four floats. */
class part {
  @inline static scalars(W: i32): usize {
    return bytes(up(W));
  }
  @inline static sigmas(W: i32): usize {
    return bytes(up(W) + 4);
  }
  @inline static shift(W: i32): usize {
    return bytes(up(W) + 8);
  }
  /** Number n of the vectors of N. */
  @inline static slots(W: i32, C: i32, N: i32, n: i32): usize {
    return bytes(up(W) + 8 + up(C) + n * up(N));
  }
}

const LN: i32 = 0;
const U: i32 = 1;
const CONTENT: i32 = 2;
const V: i32 = 3;
const COSINE: i32 = 4;
const NORM: i32 = 5;

function headBytes(W: i32, C: i32, N: i32): usize {
  return part.slots(W, C, N, 6) + 16;
}

/** Bytes that a sequence keeps: both heads, e and a. */
export function keptBytes(N: i32, W: i32, C: i32): usize {
  return 2 * headBytes(W, C, N) + bytes(2 * up(W));
}

/** Bytes of scratch of a backward pass. */
export function scratchBytes(N: i32, W: i32): usize {
  return bytes(4 * up(N) + up(W));
}

/** Bytes of the whole vectors among n floats. */
function whole(n: i32): usize {
  return bytes(n & ~3);
}

/** Two floats as doubles. */
function pair(x: usize): v128 {
  return f64x2.promote_low_f32x4(v128.load64_zero(x));
}

function dot(x: usize, y: usize, n: i32): f32 {
  let low = f64x2.splat(0);
  let high = low;
  let q: usize = 0;
  for (; q < whole(n); q += 16) {
    low = f64x2.add(low, f64x2.mul(pair(x + q), pair(y + q)));
    high = f64x2.add(high, f64x2.mul(pair(x + q + 8), pair(y + q + 8)));
  }
  const both = f64x2.add(low, high);
  let sum = f64x2.extract_lane(both, 0) + f64x2.extract_lane(both, 1);
  for (; q < bytes(n); q += 4) sum += <f64>load<f32>(x + q) * <f64>load<f32>(y + q);
  return <f32>sum;
}

/** y += f x */
function axpy(y: usize, x: usize, n: i32, f: f32): void {
  const factor = f32x4.splat(f);
  let q: usize = 0;
  for (; q < whole(n); q += 16) v128.store(y + q, f32x4.add(v128.load(y + q), f32x4.mul(factor, v128.load(x + q))));
  for (; q < bytes(n); q += 4) store<f32>(y + q, load<f32>(y + q) + f * load<f32>(x + q));
}

/** y += f x + g z */
function axpy2(y: usize, x: usize, z: usize, n: i32, f: f32, g: f32): void {
  const left = f32x4.splat(f);
  const right = f32x4.splat(g);
  let q: usize = 0;
  for (; q < whole(n); q += 16) {
    const both = f32x4.add(f32x4.mul(left, v128.load(x + q)), f32x4.mul(right, v128.load(z + q)));
    v128.store(y + q, f32x4.add(v128.load(y + q), both));
  }
  for (; q < bytes(n); q += 4) store<f32>(y + q, load<f32>(y + q) + (f * load<f32>(x + q) + g * load<f32>(z + q)));
}

/** to = m ⊙ (1 - w e) + w a */
function write(to: usize, m: usize, e: usize, a: usize, W: i32, w: f32): void {
  const one = f32x4.splat(1);
  const share = f32x4.splat(w);
  let q: usize = 0;
  for (; q < whole(W); q += 16) {
    const kept = f32x4.mul(v128.load(m + q), f32x4.sub(one, f32x4.mul(share, v128.load(e + q))));
    v128.store(to + q, f32x4.add(kept, f32x4.mul(share, v128.load(a + q))));
  }
  for (; q < bytes(W); q += 4) {
    store<f32>(to + q, load<f32>(m + q) * (1 - w * load<f32>(e + q)) + w * load<f32>(a + q));
  }
}

/** The same backwards, from the gradient d of a slot; returns that of w. `dm` is 0 where it is not wanted. */
function writeBackward(d: usize, m: usize, e: usize, a: usize, de: usize, da: usize, dm: usize, W: i32, w: f32): f32 {
  const one = f32x4.splat(1);
  const share = f32x4.splat(w);
  let sums = f32x4.splat(0);
  let q: usize = 0;
  for (; q < whole(W); q += 16) {
    const dj = v128.load(d + q);
    const mj = v128.load(m + q);
    const ej = v128.load(e + q);
    const aj = v128.load(a + q);
    const dw = f32x4.mul(dj, share);
    sums = f32x4.add(sums, f32x4.mul(dj, f32x4.sub(aj, f32x4.mul(ej, mj))));
    const slope = f32x4.mul(f32x4.mul(dw, mj), f32x4.mul(ej, f32x4.sub(one, ej)));
    v128.store(de + q, f32x4.sub(v128.load(de + q), slope));
    v128.store(da + q, f32x4.add(v128.load(da + q), f32x4.mul(dw, f32x4.sub(one, f32x4.mul(aj, aj)))));
    if (dm) {
      const back = f32x4.mul(dj, f32x4.sub(one, f32x4.mul(share, ej)));
      v128.store(dm + q, f32x4.add(v128.load(dm + q), back));
    }
  }
  let dw: f32 =
    f32x4.extract_lane(sums, 0) +
    f32x4.extract_lane(sums, 1) +
    (f32x4.extract_lane(sums, 2) + f32x4.extract_lane(sums, 3));
  for (; q < bytes(W); q += 4) {
    const dj = load<f32>(d + q);
    const mj = load<f32>(m + q);
    const ej = load<f32>(e + q);
    const aj = load<f32>(a + q);
    dw += dj * (aj - ej * mj);
    store<f32>(de + q, load<f32>(de + q) - dj * w * mj * ej * (1 - ej));
    store<f32>(da + q, load<f32>(da + q) + dj * w * (1 - aj * aj));
    if (dm) store<f32>(dm + q, load<f32>(dm + q) + dj * (1 - w * ej));
  }
  return dw;
}

/** n floats to a place of `up(n)`, zeros after them. */
function place(to: usize, from: usize, n: i32): void {
  memory.fill(to, 0, bytes(up(n)));
  memory.copy(to, from, bytes(n));
}

/** In place, over n floats; the floats up to the next multiple of four become zero. */
function softmax(x: usize, n: i32): void {
  let most: f32 = load<f32>(x);
  for (let q: usize = 4; q < bytes(n); q += 4) most = max(most, load<f32>(x + q));
  for (let q: usize = 0; q < bytes(n); q += 4) store<f32>(x + q, load<f32>(x + q) - most);
  expArray(x, x, up(n));
  let sum: f64 = 0;
  for (let q: usize = 0; q < bytes(n); q += 4) sum += <f64>load<f32>(x + q);
  const factor = <f32>(1 / sum);
  for (let q: usize = 0; q < bytes(up(n)); q += 4) store<f32>(x + q, q < bytes(n) ? load<f32>(x + q) * factor : 0);
}

/** Number i - j + half in a circle of N. */
function around(i: i32, N: i32): i32 {
  // a remainder is slow, and hardly ever needed
  if (i >= 0 && i < N) return i;
  const r = i % N;
  return r < 0 ? r + N : r;
}

function get(x: usize, i: i32): f32 {
  return load<f32>(x + bytes(i));
}

function add(x: usize, i: i32, value: f32): void {
  store<f32>(x + bytes(i), get(x, i) + value);
}

/**
 * The weights w of one head of one sequence, from its raw numbers; slots of the memory are `stride` bytes apart. `norms` are those of the
 * slots, where another head has computed them, or 0.
 */
function headForward(
  kept: usize,
  raw: usize,
  m: usize,
  stride: usize,
  N: i32,
  W: i32,
  C: i32,
  before: usize,
  w: usize,
  norms: usize,
): void {
  const k = kept;
  place(k, raw, W);
  tanhArray(k, k, up(W));
  const own = raw + bytes(W);
  const b = load<f32>(own);
  const y = load<f32>(own, 8);
  const scalars = kept + part.scalars(W);
  const sigmas = kept + part.sigmas(W);
  place(sigmas, own, 3);
  sigmoidArray(sigmas, sigmas, 4);
  store<f32>(scalars, -abs<f32>(b));
  store<f32>(scalars, -abs<f32>(y), 4);
  store<u64>(scalars, 0, 8);
  expArray(scalars, scalars, 4);
  log1pArray(scalars, scalars, 4);
  const beta: f32 = max<f32>(b, 0) + load<f32>(scalars);
  const gamma: f32 = 1.0 + max<f32>(y, 0) + load<f32>(scalars, 4);
  const g = load<f32>(sigmas, 4);
  store<f32>(scalars, beta);
  store<f32>(scalars, g, 4);
  store<f32>(scalars, gamma, 8);
  const s = kept + part.shift(W);
  place(s, own + 12, C);
  softmax(s, C);

  const ln = kept + part.slots(W, C, N, LN);
  const u = kept + part.slots(W, C, N, U);
  const c = kept + part.slots(W, C, N, CONTENT);
  const v = kept + part.slots(W, C, N, V);
  const cosine = kept + part.slots(W, C, N, COSINE);
  const norm = kept + part.slots(W, C, N, NORM);
  const nk = sqrt(dot(k, k, W) + EPSILON);
  store<f32>(kept + part.slots(W, C, N, 6), nk);
  for (let i = 0; i < N; i++) {
    const mi = m + <usize>i * stride;
    const n = norms ? get(norms, i) : sqrt(dot(mi, mi, W) + EPSILON);
    const cos = dot(k, mi, W) / (nk * n);
    store<f32>(norm + bytes(i), n);
    store<f32>(cosine + bytes(i), cos);
    store<f32>(c + bytes(i), beta * cos);
  }
  softmax(c, N);
  for (let i = 0; i < N; i++) store<f32>(v + bytes(i), g * get(c, i) + (1 - g) * get(before, i));
  const half = C >> 1;
  for (let i = 0; i < up(N); i++) {
    let sum: f32 = EPSILON;
    if (i < N) for (let j = 0; j < C; j++) sum += get(v, around(i - j + half, N)) * get(s, j);
    else sum = 1;
    store<f32>(u + bytes(i), sum);
  }
  logArray(ln, u, up(N));
  for (let i = 0; i < N; i++) store<f32>(w + bytes(i), gamma * get(ln, i));
  softmax(w, N);
}

/** The same backwards: from the gradient of w to those of raw, of the memory and of the weights before. */
function headBackward(
  kept: usize,
  draw: usize,
  m: usize,
  dm: usize,
  stride: usize,
  N: i32,
  W: i32,
  C: i32,
  before: usize,
  w: usize,
  dw: usize,
  dbefore: usize,
  scratch: usize,
): void {
  const own = draw + bytes(W);
  const scalars = kept + part.scalars(W);
  const sigmas = kept + part.sigmas(W);
  const s = kept + part.shift(W);
  const ln = kept + part.slots(W, C, N, LN);
  const u = kept + part.slots(W, C, N, U);
  const c = kept + part.slots(W, C, N, CONTENT);
  const v = kept + part.slots(W, C, N, V);
  const cosine = kept + part.slots(W, C, N, COSINE);
  const norm = kept + part.slots(W, C, N, NORM);
  const nk = load<f32>(kept + part.slots(W, C, N, 6));
  const beta = load<f32>(scalars);
  const g = load<f32>(scalars, 4);
  const gamma = load<f32>(scalars, 8);
  const du = scratch;
  const dv = scratch + bytes(up(N));
  const dk = scratch + bytes(2 * up(N));

  // sharpening
  let mean = dot(w, dw, N);
  let dgamma: f32 = 0;
  for (let i = 0; i < N; i++) {
    const d = get(w, i) * (get(dw, i) - mean);
    dgamma += d * get(ln, i);
    store<f32>(du + bytes(i), (d * gamma) / get(u, i));
  }
  // shift
  const half = C >> 1;
  for (let i = 0; i < N; i++) {
    let sum: f32 = 0;
    for (let j = 0; j < C; j++) sum += get(du, around(i + j - half, N)) * get(s, j);
    store<f32>(dv + bytes(i), sum);
  }
  mean = 0;
  for (let j = 0; j < C; j++) {
    let ds: f32 = 0;
    for (let i = 0; i < N; i++) ds += get(du, i) * get(v, around(i - j + half, N));
    mean += get(s, j) * ds;
    add(own, 3 + j, get(s, j) * ds);
  }
  for (let j = 0; j < C; j++) add(own, 3 + j, -mean * get(s, j));
  // interpolation, softmax of the content
  let dg: f32 = 0;
  mean = 0;
  for (let i = 0; i < N; i++) {
    const d = get(dv, i);
    dg += d * (get(c, i) - get(before, i));
    if (dbefore) add(dbefore, i, (1 - g) * d);
    mean += get(c, i) * g * d;
  }
  let dbeta: f32 = 0;
  let along: f32 = 0;
  memory.fill(dk, 0, bytes(up(W)));
  for (let i = 0; i < N; i++) {
    const d = get(c, i) * (g * get(dv, i) - mean);
    const cos = get(cosine, i);
    dbeta += d * cos;
    // cosine
    const dcos = beta * d;
    const n = get(norm, i);
    const mi = m + <usize>i * stride;
    const f = dcos / (nk * n);
    axpy(dk, mi, W, f);
    along += dcos * cos;
    if (dm) axpy2(dm + <usize>i * stride, kept, mi, W, f, (-dcos * cos) / (n * n));
  }
  axpy(dk, kept, W, -along / (nk * nk));
  for (let i = 0; i < W; i++) add(draw, i, get(dk, i) * (1 - get(kept, i) * get(kept, i)));
  add(own, 0, dbeta * load<f32>(sigmas));
  add(own, 1, dg * g * (1 - g));
  add(own, 2, dgamma * load<f32>(sigmas, 8));
}

/** Both heads, then the memory is written, then read. */
export function memoryForward(block: usize): void {
  const B = at.i32(block, Step.B);
  const N = at.i32(block, Step.N);
  const W = at.i32(block, Step.W);
  const C = at.i32(block, Step.C);
  const ldm = at.ptr(block, Step.ldm);
  const ldw = at.ptr(block, Step.ldw);
  const stride = <usize>B * ldm;
  for (let row = 0; row < B; row++) {
    const b = <usize>row;
    const raw = at.ptr(block, Step.raw) + b * at.ptr(block, Step.ldraw);
    const kept = at.ptr(block, Step.kept) + b * keptBytes(N, W, C);
    const m0 = at.ptr(block, Step.m0) + b * ldm;
    const m1 = at.ptr(block, Step.m1) + b * ldm;
    const r1 = at.ptr(block, Step.r1) + b * ldw;
    const w1 = at.ptr(block, Step.w1) + b * ldw;
    const y = at.ptr(block, Step.y) + b * at.ptr(block, Step.ldy);
    const size = bytes(W + 3 + C);
    const second = kept + headBytes(W, C, N);
    const norms = kept + part.slots(W, C, N, NORM);
    headForward(kept, raw, m0, stride, N, W, C, at.ptr(block, Step.r0) + b * ldw, r1, 0);
    headForward(second, raw + size, m0, stride, N, W, C, at.ptr(block, Step.w0) + b * ldw, w1, norms);
    const e = kept + 2 * headBytes(W, C, N);
    const a = e + bytes(up(W));
    place(e, raw + 2 * size, W);
    place(a, raw + 2 * size + bytes(W), W);
    sigmoidArray(e, e, up(W));
    tanhArray(a, a, up(W));
    memory.fill(y, 0, at.ptr(block, Step.ldy));
    for (let i = 0; i < N; i++) {
      const from = m0 + <usize>i * stride;
      const to = m1 + <usize>i * stride;
      const w = get(w1, i);
      memory.fill(to, 0, ldm);
      write(to, from, e, a, W, w);
      axpy(y, to, W, get(r1, i));
    }
  }
}

export function memoryBackward(block: usize): void {
  const B = at.i32(block, Step.B);
  const N = at.i32(block, Step.N);
  const W = at.i32(block, Step.W);
  const C = at.i32(block, Step.C);
  const ldm = at.ptr(block, Step.ldm);
  const ldw = at.ptr(block, Step.ldw);
  const stride = <usize>B * ldm;
  const scratch = at.ptr(block, Step.scratch);
  const size = bytes(W + 3 + C);
  for (let row = 0; row < B; row++) {
    const b = <usize>row;
    const kept = at.ptr(block, Step.kept) + b * keptBytes(N, W, C);
    const draw = at.ptr(block, Step.draw) + b * at.ptr(block, Step.ldraw);
    const m0 = at.ptr(block, Step.m0) + b * ldm;
    const m1 = at.ptr(block, Step.m1) + b * ldm;
    const dm1 = at.ptr(block, Step.dm1) + b * ldm;
    let dm0 = at.ptr(block, Step.dm0);
    if (dm0) dm0 += b * ldm;
    let dr0 = at.ptr(block, Step.dr0);
    if (dr0) dr0 += b * ldw;
    let dw0 = at.ptr(block, Step.dw0);
    if (dw0) dw0 += b * ldw;
    const r1 = at.ptr(block, Step.r1) + b * ldw;
    const w1 = at.ptr(block, Step.w1) + b * ldw;
    const dr1 = at.ptr(block, Step.dr1) + b * ldw;
    const dw1 = at.ptr(block, Step.dw1) + b * ldw;
    const dy = at.ptr(block, Step.dy) + b * at.ptr(block, Step.ldy);
    const second = kept + headBytes(W, C, N);
    const e = kept + 2 * headBytes(W, C, N);
    const a = e + bytes(up(W));
    const de = draw + 2 * size;
    const da = de + bytes(W);
    for (let i = 0; i < N; i++) {
      const from = m0 + <usize>i * stride;
      const d = dm1 + <usize>i * stride;
      const w = get(w1, i);
      // reading
      add(dr1, i, dot(dy, m1 + <usize>i * stride, W));
      axpy(d, dy, W, get(r1, i));
      // writing
      add(dw1, i, writeBackward(d, from, e, a, de, da, dm0 ? dm0 + <usize>i * stride : 0, W, w));
    }
    const r0 = at.ptr(block, Step.r0) + b * ldw;
    const w0 = at.ptr(block, Step.w0) + b * ldw;
    headBackward(kept, draw, m0, dm0, stride, N, W, C, r0, r1, dr1, dr0, scratch);
    headBackward(second, draw + size, m0, dm0, stride, N, W, C, w0, w1, dw1, dw0, scratch);
  }
}
