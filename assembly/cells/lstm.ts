import { activated, activation, activationArray } from '../activation';
import { at, lines, own, panelsOf, rowBytes } from '../at';
import { gemm } from '../gemm';
import { Activation, Seq } from '../layout';
import { vmath } from '../math';
import { normalizeRow, normalizeRowBackward } from '../norm';
import { simd } from '../simd';
import { Lstm } from './layout';

const ONE = memory.data<f32>([1]);

/**
 * Long short-term memory, one step of `rows` sequences.
 *
 *     a = x Wxᵀ + u Whᵀ + b          i, f, o = σ(a_i + p_i ⊙ c₀), σ(a_f + p_f ⊙ c₀), σ(a_o + p_o ⊙ c₁)          g = tanh(a_g)
 *     c₁ = f ⊙ c₀ + i ⊙ g            coupled: f = 1 - i            clip: c₁ clamped
 *     h₁ = o ⊙ tanh(c₁)              projection: h₁ = (o ⊙ tanh(c₁)) Wrᵀ            normalised: tanh(LN(c₁)) for tanh(c₁)
 *
 * Hochreiter & Schmidhuber 1997, https://doi.org/10.1162/neco.1997.9.8.1735; forget gate and peepholes: Gers et al. 2000,
 * https://doi.org/10.1162/089976600300015015, 2002, https://www.jmlr.org/papers/v3/gers02a.html; projection: Sak et al. 2014,
 * arXiv:1402.1128v1; coupling: Greff et al. 2017, arXiv:1503.04069v2. Gate order is PyTorch's. σ, the tanh of g and that of c₁ may be
 * any `Activation`.
 *
 *     z  [rows, i f g o]  in: a; out: the gates. Coupled: i g o
 *     e  [rows, …]        overwritten: tanh(c₁) [H]; with a projection o ⊙ tanh(c₁), normalised the normalised c₁ and 1/σ, each at
 *                         its offset (see `Lstm`)
 */
export function lstmStep(s: usize, rows: i32, z: usize, h1: usize, c0: usize, c1: usize, e: usize): void {
  const H = at.i32(s, Seq.H);
  const P = at.i32(s, Seq.P);
  const ldz = at.ptr(s, Seq.ldz);
  const ldh = at.ptr(s, Seq.ldh);
  const ldc = at.ptr(s, Seq.ldc);
  const lde = at.ptr(s, Seq.ldextra);
  const peephole = own.ptr(s, Lstm.peephole);
  const clip = own.f32(s, Lstm.clip);
  const wr = at.ptr(s, Seq.wr);
  const coupled = own.i32(s, Lstm.coupled) !== 0;
  const one = simd.splat(ONE);
  const limit = f32x4.splat(clip);
  const lower = f32x4.neg(limit);
  const width = rowBytes(H);
  const next: usize = coupled ? 48 : 64; // bytes from one quad of units to the next
  const zo = next - 16;
  const zg = next - 32;

  const out = wr ? e + own.ptr(s, Lstm.projected) : h1;
  const ldo = wr ? lde : ldh;
  const norm = own.ptr(s, Lstm.norm);
  const gate = own.at(s, Lstm.gate);
  const f1 = own.at(s, Lstm.output);
  const usual = isUsual(s);

  for (let row = 0; row < rows; row++) {
    let a = z + <usize>row * ldz;
    const from = c0 + <usize>row * ldc;
    const to = c1 + <usize>row * ldc;
    if (peephole) {
      addPeephole(a, next, peephole, from, width);
      if (!coupled) addPeephole(a + 16, next, peephole + ldc, from, width);
    }
    // all is read, and the functions made, before one is written: see vmath.gates. What does not count (the second gate of coupled
    // ones; o, which waits for c₁ where it has a peephole) is made all the same: a branch between them would part them
    if (!usual) otherGates(s, a, from, to, width);
    else
      for (let q: usize = 0; q < width; q += 16, a += next) {
        const c = v128.load(from + q);
        const ao = v128.load(a + zo);
        const i = vmath.sigmoid(v128.load(a));
        const af = vmath.sigmoid(v128.load(a, 16));
        const g = vmath.tanh(v128.load(a + zg));
        const o = vmath.sigmoid(ao);
        const f = coupled ? f32x4.sub(one, i) : af;
        let cn = simd.fma(f, c, f32x4.mul(i, g));
        if (clip) cn = simd.clamp(cn, lower, limit);
        v128.store(a, i);
        if (!coupled) v128.store(a, f, 16);
        v128.store(a + zg, g);
        v128.store(a + zo, peephole ? ao : o);
        v128.store(to + q, simd.flush(cn));
      }

    const os = z + <usize>row * ldz + zo;
    if (peephole) {
      addPeephole(os, next, peephole + 2 * ldc, to, width);
      for (let q: usize = 0; q < width; q += 16) activationArray(gate, os + (q >> 4) * next, os + (q >> 4) * next, 4);
    }
    const t = e + <usize>row * lde;
    if (norm) {
      const hat = t + own.ptr(s, Lstm.hat);
      store<f32>(t + own.ptr(s, Lstm.root), normalizeRow(hat, to, norm + 2 * ldc, H, width));
      for (let q: usize = 0; q < width; q += 16)
        v128.store(t + q, simd.fma(v128.load(hat + q), v128.load(norm + q), v128.load(norm + ldc + q)));
    }
    activationArray(f1, t, norm ? t : to, <i32>(width >> 2));
    const h = out + <usize>row * ldo;
    for (let q: usize = 0, o = os; q < width; q += 16, o += next)
      v128.store(h + q, simd.flush(f32x4.mul(v128.load(o), v128.load(t + q))));
  }
  if (wr) {
    const panels = panelsOf(P);
    for (let row = 0; row < rows; row++) memory.fill(h1 + <usize>row * ldh, 0, ldh);
    gemm(h1, ldh, h1, ldh, out, lde, wr, lines(H), rows, panels, H);
  }
}

/** Whether the gates are σ and the candidate tanh, their inputs not limited. */
function isUsual(s: usize): bool {
  const gate = activation.plain(own.at(s, Lstm.gate));
  const candidate = activation.plain(own.at(s, Lstm.activation));
  return <bool>(i32(gate === Activation.sigmoid) & i32(candidate === Activation.tanh));
}

/** The gates of one row and c₁, with other functions. */
function otherGates(s: usize, a: usize, c0: usize, c1: usize, width: usize): void {
  const gate = own.at(s, Lstm.gate);
  const coupled = own.i32(s, Lstm.coupled) !== 0;
  const next: usize = coupled ? 48 : 64;
  const clip = own.f32(s, Lstm.clip);
  const limit = f32x4.splat(clip);
  for (let q: usize = 0; q < width; q += 16, a += next) {
    const i = activated(gate, v128.load(a));
    const f = coupled ? f32x4.sub(simd.splat(ONE), i) : activated(gate, v128.load(a, 16));
    const g = activated(own.at(s, Lstm.activation), v128.load(a + next - 32));
    const o = v128.load(a + next - 16);
    let c = simd.fma(f, v128.load(c0 + q), f32x4.mul(i, g));
    if (clip) c = simd.clamp(c, f32x4.neg(limit), limit);
    v128.store(a, i);
    if (!coupled) v128.store(a, f, 16);
    v128.store(a + next - 32, g);
    // with a peephole it waits for c₁
    if (!own.ptr(s, Lstm.peephole)) v128.store(a + next - 16, activated(gate, o));
    v128.store(c1 + q, simd.flush(c));
  }
}

/** a += p ⊙ c, of a gate whose quads are `next` bytes apart */
function addPeephole(a: usize, next: usize, p: usize, c: usize, width: usize): void {
  for (let q: usize = 0; q < width; q += 16, a += next)
    v128.store(a, simd.fma(v128.load(p + q), v128.load(c + q), v128.load(a)));
}

/**
 * The same step backwards, d the gradient of h₁ before the projection.
 *
 *     d = (dy + dh) Wr                        da_o = d ⊙ tanh(c₁) ⊙ o(1-o)
 *     dc += d ⊙ o ⊙ (1 - tanh²(c₁)) + da_o ⊙ p_o            0 where c₁ was clamped
 *     da_i = dc ⊙ g ⊙ i(1-i)                  da_f = dc ⊙ c₀ ⊙ f(1-f)                  da_g = dc ⊙ i ⊙ (1 - g²)
 *     coupled: da_i = dc ⊙ (g - c₀) ⊙ i(1-i)
 *     dc₀ = dc ⊙ f + da_i ⊙ p_i + da_f ⊙ p_f                dp_i += da_i ⊙ c₀ and so on
 *
 *     z   in: the gates; out: da
 *     dh  out: 0
 */
export function lstmStepBackward(
  s: usize,
  rows: i32,
  z: usize,
  c0: usize,
  e: usize,
  dy: usize,
  dh: usize,
  dc: usize,
): void {
  const H = at.i32(s, Seq.H);
  const P = at.i32(s, Seq.P);
  const ldz = at.ptr(s, Seq.ldz);
  const ldh = at.ptr(s, Seq.ldh);
  const ldc = at.ptr(s, Seq.ldc);
  const lde = at.ptr(s, Seq.ldextra);
  const lddy = at.ptr(s, Seq.lddy);
  const wrT = at.ptr(s, Seq.wrT);
  const peephole = own.ptr(s, Lstm.peephole);
  const dp = own.ptr(s, Lstm.dpeephole);
  const clip = own.f32(s, Lstm.clip);
  const coupled = own.i32(s, Lstm.coupled) !== 0;
  const one = simd.splat(ONE);
  const limit = f32x4.splat(clip);
  const width = rowBytes(H);
  const next: usize = coupled ? 48 : 64;
  const zo = next - 16;
  const zg = next - 32;
  const zero = f32x4.splat(0);
  const gate = own.at(s, Lstm.gate);
  const candidate = own.at(s, Lstm.activation);
  const f1 = own.at(s, Lstm.output);
  const usual = isUsual(s);
  const shown = activation.plain(f1) === Activation.tanh;
  let dm = dh;
  let lddm = ldh;

  if (wrT) {
    dm = at.ptr(s, Seq.scratch);
    lddm = ldc;
    const kept = e + own.ptr(s, Lstm.dprojected); // the gradient of h₁, which the gradient of Wr reads
    for (let row = 0; row < rows; row++) {
      const r = <usize>row;
      for (let q: usize = 0; q < (<usize>P) << 2; q += 16) {
        let d = v128.load(dh + r * ldh + q);
        if (dy) d = f32x4.add(d, v128.load(dy + r * lddy + q));
        v128.store(kept + r * lde + q, simd.flush(d));
        v128.store(dh + r * ldh + q, zero);
      }
      memory.fill(dm + r * lddm, 0, lddm);
    }
    gemm(dm, lddm, dm, lddm, kept, lde, wrT, lines((P + 15) & ~15), rows, panelsOf(H), P);
    dy = 0;
  }

  const norm = own.ptr(s, Lstm.norm);
  for (let row = 0; row < rows; row++) {
    const r = <usize>row;
    let a = z + r * ldz;
    const dhr = dm + r * lddm;
    const dyr = dy + r * lddy;
    const dcr = dc + r * ldc;
    const cr = c0 + r * ldc;
    const er = e + r * lde;
    const hat = er + own.ptr(s, Lstm.hat);
    if (norm) normalizedBackward(s, norm, er, a + zo, next, dyr * usize(dy !== 0), dhr, width);
    for (let q: usize = 0; q < width; q += 16, a += next) {
      const i = v128.load(a);
      const g = v128.load(a + zg);
      const o = v128.load(a + zo);
      const c = v128.load(cr + q);
      const t = v128.load(er + q);
      const f = coupled ? f32x4.sub(one, i) : v128.load(a, 16);
      let d = v128.load(dhr + q);
      if (dy) d = f32x4.add(d, simd.flush(v128.load(dyr + q)));
      const dao = simd.flush(f32x4.mul(f32x4.mul(d, t), activation.gateSlope(false, usual, gate, o)));
      let ds = v128.load(dcr + q);
      ds = norm
        ? f32x4.add(ds, v128.load(hat + q))
        : simd.fma(f32x4.mul(d, o), activation.gateSlope(true, shown, f1, t), ds);
      if (peephole) ds = simd.fma(dao, v128.load(peephole + 2 * ldc + q), ds);
      if (clip) {
        const c1 = simd.fma(f, c, f32x4.mul(i, g));
        ds = v128.and(ds, f32x4.lt(f32x4.abs(c1), limit));
      }
      const si = activation.gateSlope(false, usual, gate, i);
      const dai = simd.flush(f32x4.mul(f32x4.mul(ds, coupled ? f32x4.sub(g, c) : g), si));
      const dag = simd.flush(f32x4.mul(f32x4.mul(ds, i), activation.gateSlope(true, usual, candidate, g)));
      let dcn = f32x4.mul(ds, f);
      if (peephole) {
        dcn = simd.fma(dai, v128.load(peephole + q), dcn);
        accumulate(dp + q, dai, c);
        const c1 = simd.fma(f, c, f32x4.mul(i, g));
        accumulate(dp + 2 * ldc + q, dao, clip ? simd.clamp(c1, f32x4.neg(limit), limit) : c1);
      }
      if (!coupled) {
        const daf = simd.flush(f32x4.mul(f32x4.mul(ds, c), activation.gateSlope(false, usual, gate, f)));
        v128.store(a, daf, 16);
        if (peephole) {
          dcn = simd.fma(daf, v128.load(peephole + ldc + q), dcn);
          accumulate(dp + ldc + q, daf, c);
        }
      }
      v128.store(a, dai);
      v128.store(a + zg, dag);
      v128.store(a + zo, dao);
      v128.store(dcr + q, simd.flush(dcn));
      if (!wrT) v128.store(dhr + q, zero);
    }
  }
}

/** Backward through tanh and normalisation for one row of e: the normalised cell state becomes the gradient of c₁. */
function normalizedBackward(
  s: usize,
  norm: usize,
  e: usize,
  o: usize,
  next: usize,
  dy: usize,
  dh: usize,
  width: usize,
): void {
  const ldc = at.ptr(s, Seq.ldc);
  const dnorm = own.ptr(s, Lstm.dnorm);
  const hat = e + own.ptr(s, Lstm.hat);
  const dhat = e + own.ptr(s, Lstm.dhat);
  const f1 = own.at(s, Lstm.output);
  const shown = activation.plain(f1) === Activation.tanh;
  for (let q: usize = 0; q < width; q += 16, o += next) {
    const t = v128.load(e + q);
    let d = v128.load(dh + q);
    if (dy) d = f32x4.add(d, v128.load(dy + q));
    d = f32x4.mul(f32x4.mul(d, v128.load(o)), activation.gateSlope(true, shown, f1, t));
    v128.store(dhat + q, d);
    v128.store(dnorm + ldc + q, f32x4.add(v128.load(dnorm + ldc + q), d));
  }
  const root = load<f32>(e + own.ptr(s, Lstm.root));
  normalizeRowBackward(hat, dnorm, dhat, hat, norm, norm + 2 * ldc, root, at.i32(s, Seq.H), width);
}

/** sum += a ⊙ b */
function accumulate(sum: usize, a: v128, b: v128): void {
  v128.store(sum, simd.fma(a, b, v128.load(sum)));
}
