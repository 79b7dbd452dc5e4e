/**
 * Attention: each query looks at the keys of its sequence and takes a mean of the values.
 *
 *     s_ij = factor·qᵢ·kⱼ        dot       Luong et al. 2015, arXiv:1508.04025v5; factor 1/√F: Vaswani et al. 2017, arXiv:1706.03762v5
 *     s_ij = v·tanh(qᵢ + kⱼ)     additive  Bahdanau et al. 2015, arXiv:1409.0473v7, where q and k are projected already
 *     w_i = softmax(s_i) over the keys before the end          c_i = Σⱼ w_ij·valueⱼ
 *
 * Rows are time-major, so those of one sequence are a matrix whose rows are B·ld apart: the packed product takes them as they lie.
 * The additive score does not keep its Tq·Tk·B·F values of tanh: the backward pass computes them again.
 */
import { at, lines, panelsOf, slot } from './at';
import { gemm, packTransposed, packWeights, weightGrad } from './gemm';
import { Attend, Score } from './layout';
import { vmath } from './math';
import { stepsOf, tailMask } from './rows';
import { simd } from './simd';
import { softmaxRow } from './softmax';

/** Bytes of a panel that `packTransposed` makes of L rows. */
function panelOf(L: i32): usize {
  return lines((L + 15) & ~15);
}

/**
 * Overwrites weights [Tq,B,Tk] and context [Tq,B,V]; both are zero past a query's end, and where there are no keys.
 *
 *     a  an `Attend` block; its panels hold max(F, 16·⌈V/16⌉)·⌈Tk/16⌉ lines
 */
export function attentionForward(a: usize): void {
  const B = at.i32(a, Attend.B);
  const F = at.i32(a, Attend.F);
  const V = at.i32(a, Attend.V);
  const Tq = at.i32(a, Attend.Tq);
  const ldw = at.ptr(a, Attend.ldw);
  const ldc = at.ptr(a, Attend.ldc);
  const rowV = <usize>B * at.ptr(a, Attend.ldv);
  const rowK = <usize>B * at.ptr(a, Attend.ldk);
  const rowQ = <usize>B * at.ptr(a, Attend.ldq);
  const rowW = <usize>B * ldw;
  const rowC = <usize>B * ldc;
  const panels = at.ptr(a, Attend.panels);
  const factor = at.f32(a, Attend.factor);
  const additive = at.i32(a, Attend.score) === Score.additive;
  memory.fill(at.ptr(a, Attend.weights), 0, <usize>(Tq * B) * ldw);
  memory.fill(at.ptr(a, Attend.context), 0, <usize>(Tq * B) * ldc);
  for (let b = 0; b < B; b++) {
    const M = stepsOf(at.ptr(a, Attend.queryLengths), b, Tq);
    const L = stepsOf(at.ptr(a, Attend.keyLengths), b, at.i32(a, Attend.Tk));
    if (M === 0 || L === 0) continue;
    const q = at.ptr(a, Attend.query) + <usize>b * at.ptr(a, Attend.ldq);
    const k = at.ptr(a, Attend.keys) + <usize>b * at.ptr(a, Attend.ldk);
    const v = at.ptr(a, Attend.values) + <usize>b * at.ptr(a, Attend.ldv);
    const w = at.ptr(a, Attend.weights) + <usize>b * ldw;
    const c = at.ptr(a, Attend.context) + <usize>b * ldc;
    if (additive) additiveScores(w, rowW, q, rowQ, k, rowK, at.ptr(a, Attend.v), M, L, F);
    else {
      packWeights(panels, k, rowK, F, L, 1);
      gemm(w, rowW, w, rowW, q, rowQ, panels, lines(F), M, panelsOf(L), F);
    }
    weightRows(w, rowW, factor, M, L);
    packTransposed(panels, panelOf(L), v, rowV, V, L, 1);
    gemm(c, rowC, c, rowC, w, rowW, panels, panelOf(L), M, panelsOf(V), L);
  }
}

/**
 * Accumulates the gradients of queries, keys, values and v.
 *
 *     a  dweights [Tq,B,Tk] in: gradient of the weights from elsewhere, out: of the scores. The panels hold
 *        max(F, V, 16·⌈F/16⌉)·⌈Tk/16⌉ lines, scratch is what `weightGradScratch` says for max(F, V) features
 */
export function attentionBackward(a: usize): void {
  const B = at.i32(a, Attend.B);
  const F = at.i32(a, Attend.F);
  const V = at.i32(a, Attend.V);
  const rowW = <usize>B * at.ptr(a, Attend.ldw);
  const rowC = <usize>B * at.ptr(a, Attend.ldc);
  const rowV = <usize>B * at.ptr(a, Attend.ldv);
  const rowK = <usize>B * at.ptr(a, Attend.ldk);
  const rowQ = <usize>B * at.ptr(a, Attend.ldq);
  const panels = at.ptr(a, Attend.panels);
  const scratch = at.ptr(a, Attend.scratch);
  const factor = at.f32(a, Attend.factor);
  for (let b = 0; b < B; b++) {
    const M = stepsOf(at.ptr(a, Attend.queryLengths), b, at.i32(a, Attend.Tq));
    const L = stepsOf(at.ptr(a, Attend.keyLengths), b, at.i32(a, Attend.Tk));
    if (M === 0 || L === 0) continue;
    const columns = panelsOf(L);
    const skipW = <usize>b * at.ptr(a, Attend.ldw);
    const skipQ = <usize>b * at.ptr(a, Attend.ldq);
    const skipK = <usize>b * at.ptr(a, Attend.ldk);
    const skipV = <usize>b * at.ptr(a, Attend.ldv);
    const w = at.ptr(a, Attend.weights) + skipW;
    const dw = at.ptr(a, Attend.dweights) + skipW;
    const dc = at.ptr(a, Attend.dcontext) + <usize>b * at.ptr(a, Attend.ldc);
    const q = at.ptr(a, Attend.query) + skipQ;
    const k = at.ptr(a, Attend.keys) + skipK;
    const dquery = at.ptr(a, Attend.dquery);
    const dkeys = at.ptr(a, Attend.dkeys);
    const dvalues = at.ptr(a, Attend.dvalues);

    packWeights(panels, at.ptr(a, Attend.values) + skipV, rowV, V, L, 1);
    gemm(dw, rowW, dw, rowW, dc, rowC, panels, lines(V), M, columns, V);
    if (dvalues) weightGrad(dvalues + skipV, rowV, scratch, w, rowW, dc, rowC, M, V, L, 1);
    scoreRows(dw, w, rowW, factor, M, L);
    if (at.i32(a, Attend.score) === Score.additive) {
      const dq = dquery ? dquery + skipQ : 0;
      const dk = dkeys ? dkeys + skipK : 0;
      additiveBackward(dq, dk, at.ptr(a, Attend.dv), dw, rowW, q, rowQ, k, rowK, at.ptr(a, Attend.v), M, L, F);
      continue;
    }
    if (dquery) {
      const dq = dquery + skipQ;
      packTransposed(panels, panelOf(L), k, rowK, F, L, 1);
      gemm(dq, rowQ, dq, rowQ, dw, rowW, panels, panelOf(L), M, panelsOf(F), L);
    }
    if (dkeys) weightGrad(dkeys + skipK, rowK, scratch, dw, rowW, q, rowQ, M, F, L, 1);
  }
}

/** w [M,L] = softmax(factor·w), row by row; lanes past L become 0. */
function weightRows(w: usize, ldw: usize, factor: f32, M: i32, L: i32): void {
  const width = (<usize>L) << 2;
  const f = f32x4.splat(factor);
  for (let i = 0; i < M; i++, w += ldw) {
    for (let q: usize = 0; q < width; q += 16) v128.store(w + q, f32x4.mul(v128.load(w + q), f));
    softmaxRow(w, w, L);
    for (let q: usize = 0; q < width; q += 16) v128.store(w + q, simd.flush(v128.load(w + q)));
  }
}

/** ds [M,L] = factor·w ⊙ (dw - Σ w ⊙ dw), row by row, in the place of dw; lanes past L become 0. */
function scoreRows(dw: usize, w: usize, ldw: usize, factor: f32, M: i32, L: i32): void {
  const width = (<usize>L) << 2;
  const mask = v128.load(tailMask(L));
  const last = (<usize>(L & ~3)) << 2;
  const f = f32x4.splat(factor);
  for (let i = 0; i < M; i++, dw += ldw, w += ldw) {
    if (L & 3) v128.store(dw + last, v128.and(v128.load(dw + last), mask));
    let sum = f32x4.splat(0);
    for (let q: usize = 0; q < width; q += 16) sum = simd.fma(v128.load(w + q), v128.load(dw + q), sum);
    const mean = f32x4.splat(simd.sum(sum));
    for (let q: usize = 0; q < width; q += 16) {
      const d = f32x4.mul(f32x4.sub(v128.load(dw + q), mean), v128.load(w + q));
      v128.store(dw + q, simd.flush(f32x4.mul(d, f)));
    }
  }
}

/** s [M,L] = v·tanh(qᵢ + kⱼ), overwritten. */
function additiveScores(
  s: usize,
  lds: usize,
  q: usize,
  ldq: usize,
  k: usize,
  ldk: usize,
  v: usize,
  M: i32,
  L: i32,
  F: i32,
): void {
  const width = (<usize>F) << 2;
  for (let i = 0; i < M; i++, s += lds, q += ldq) {
    let key = k;
    for (let j = 0; j < L; j++, key += ldk) {
      let sum = f32x4.splat(0);
      for (let f: usize = 0; f < width; f += 16) {
        sum = simd.fma(v128.load(v + f), vmath.tanh(f32x4.add(v128.load(q + f), v128.load(key + f))), sum);
      }
      store<f32>(slot(s, j), simd.sum(sum));
    }
  }
}

/**
 * With t = tanh(qᵢ + kⱼ) and g = ds_ij·v ⊙ (1 - t²): dv += Σ ds_ij·t, dqᵢ += Σⱼ g, dkⱼ += Σᵢ g, four features at a time.
 * dq and dk are 0 where not wanted.
 */
function additiveBackward(
  dq: usize,
  dk: usize,
  dv: usize,
  ds: usize,
  lds: usize,
  q: usize,
  ldq: usize,
  k: usize,
  ldk: usize,
  v: usize,
  M: i32,
  L: i32,
  F: i32,
): void {
  const one = f32x4.splat(1);
  for (let f: usize = 0; f < (<usize>F) << 2; f += 16) {
    const gain = v128.load(v + f);
    let dgain = v128.load(dv + f);
    let score = ds;
    let query = f;
    for (let i = 0; i < M; i++, score += lds, query += ldq) {
      const x = v128.load(q + query);
      let dx = f32x4.splat(0);
      let key = f;
      for (let j = 0; j < L; j++, key += ldk) {
        const d = v128.load32_splat(slot(score, j));
        const t = vmath.tanh(f32x4.add(x, v128.load(k + key)));
        dgain = simd.fma(d, t, dgain);
        const g = simd.flush(f32x4.mul(f32x4.mul(d, gain), simd.fnma(t, t, one)));
        dx = f32x4.add(dx, g);
        if (dk) v128.store(dk + key, f32x4.add(v128.load(dk + key), g));
      }
      if (dq) v128.store(dq + query, f32x4.add(v128.load(dq + query), dx));
    }
    v128.store(dv + f, dgain);
  }
}
