/**
 * A chain of labels that know their neighbours: linear-chain conditional random field.
 *
 *     score(y) = start[y₀] + Σₜ xₜ[yₜ] + Σₜ w[yₜ₋₁][yₜ] + end[y_T]          loss_b = ln Σ_y e^{score(y)} - score(tags)
 *
 * J. Lafferty, A. McCallum, F. Pereira, Conditional random fields: probabilistic models for segmenting and labeling sequence data,
 * ICML 2001. What must not be has -∞, or a very negative number.
 *
 * All that is added up is in double precision, in rows of K rounded up to whole pairs, of which the rest can never be:
 *
 *     alphaₜ  ln Σ over what leads to each label at step t, with its x      betaₜ  over what follows it
 */
import { slot } from './at';
import { addTo, cell, dmath, NEVER } from './double';

/** Bytes of a row of K doubles. */
function rowOf(K: i32): usize {
  return (<usize>((K + 1) & ~1)) << 3;
}

/** w [K + 2,K] = the transitions, the start and the end, as rows of doubles. */
function spread(w: usize, transitions: usize, start: usize, end: usize, K: i32): void {
  const row = rowOf(K);
  for (let i = 0; i < K + 2; i++, w += row) {
    const from = i < K ? slot(transitions, i * K) : i === K ? start : end;
    store<f64>(w + row - 8, NEVER);
    for (let j = 0; j < K; j++) store<f64>(cell(w, j), max(<f64>load<f32>(slot(from, j)), NEVER));
  }
}

/** to = from + x; from may be to. */
function addScores(to: usize, from: usize, x: usize, bytes: usize): void {
  for (let q: usize = 0; q < bytes; q += 16) {
    const pair = f64x2.promote_low_f32x4(v128.load64_zero(x + (q >> 1)));
    v128.store(to + q, f64x2.add(v128.load(from + q), pair));
  }
}

/** to_j = ln Σᵢ e^{fromᵢ + w_ij} */
function advance(to: usize, from: usize, w: usize, K: i32): void {
  const row = rowOf(K);
  for (let q: usize = 0; q < row; q += 16) {
    let m = f64x2.add(v128.load64_splat(from), v128.load(w + q));
    let wi = w + q + row;
    for (let i = 1; i < K; i++, wi += row)
      m = f64x2.pmax(m, f64x2.add(v128.load64_splat(cell(from, i)), v128.load(wi)));
    let sum = f64x2.splat(0);
    wi = w + q;
    for (let i = 0; i < K; i++, wi += row) {
      const v = f64x2.add(v128.load64_splat(cell(from, i)), v128.load(wi));
      sum = f64x2.add(sum, dmath.exp(f64x2.sub(v, m)));
    }
    v128.store(to + q, f64x2.add(m, dmath.log(sum)));
  }
}

/** ln Σ e^{score} over all, from the last row of alphas. */
function total(alpha: usize, end: usize, K: i32): f64 {
  let sum = NEVER;
  for (let j = 0; j < K; j++) sum = dmath.logAdd(sum, load<f64>(cell(alpha, j)) + load<f64>(cell(end, j)));
  return sum;
}

/**
 * Returns Σ u_b·loss_b.
 *
 *     w         [K + 2,K]  doubles, overwritten, for the backward pass
 *     alpha     overwritten: T rows of K doubles, for each sequence `stride` bytes further; 0 where no backward pass follows
 *     x         [T,B,K]
 *     tags      [T,B]      i32 in 0…K-1, anything past an end
 *     lengths   [B]        i32, or 0
 *     transitions [K,K], start, end [K]  floats without gaps
 *     losses    [B]        doubles, overwritten; 0: not wanted
 *     u         [B]        doubles, or 0: ones
 */
export function crfForward(
  w: usize,
  alpha: usize,
  stride: usize,
  x: usize,
  ld: usize,
  tags: usize,
  lengths: usize,
  transitions: usize,
  start: usize,
  end: usize,
  T: i32,
  B: i32,
  K: i32,
  losses: usize,
  u: usize,
): f64 {
  spread(w, transitions, start, end, K);
  const row = rowOf(K);
  const step = <usize>B * ld;
  const first = w + <usize>K * row;
  const last = first + row;
  let sum: f64 = 0;
  for (let b = 0; b < B; b++, x += ld, tags += 4, alpha += stride) {
    const steps = lengths ? load<i32>(slot(lengths, b)) : T;
    let a = alpha;
    let tag = load<i32>(tags);
    let score = load<f64>(cell(first, tag)) + <f64>load<f32>(slot(x, tag));
    addScores(a, first, x, row);
    for (let t = 1; t < steps; t++, a += row) {
      const xt = x + <usize>t * step;
      advance(a + row, a, w, K);
      addScores(a + row, a + row, xt, row);
      const next = load<i32>(slot(tags, t * B));
      score += load<f64>(cell(w + <usize>tag * row, next)) + <f64>load<f32>(slot(xt, next));
      tag = next;
    }
    score += load<f64>(cell(last, tag));
    const loss = score < 0.5 * NEVER ? Infinity : total(a, last, K) - score;
    if (losses) store<f64>(cell(losses, b), loss);
    sum += u ? load<f64>(cell(u, b)) * loss : loss;
  }
  return sum;
}

/** to += scale·from, floats and doubles; magnitudes below 1e-20 become 0. */
function addScaled(to: usize, from: usize, n: i32, scale: f64): void {
  for (let j = 0; j < n; j++) {
    const v = <f32>(<f64>load<f32>(slot(to, j)) + scale * load<f64>(cell(from, j)));
    store<f32>(slot(to, j), abs(v) < 1e-20 ? 0 : v);
  }
}

/** to += factor·from, rows of doubles; returns Σ from. */
function addRow(to: usize, from: usize, factor: f64, bytes: usize): f64 {
  const f = f64x2.splat(factor);
  let sum = f64x2.splat(0);
  for (let q: usize = 0; q < bytes; q += 16) {
    const v = v128.load(from + q);
    sum = f64x2.add(sum, v);
    v128.store(to + q, f64x2.add(v128.load(to + q), f64x2.mul(v, f)));
  }
  return dmath.sum(sum);
}

/** to = e^{a + b - c} */
function expRow(to: usize, a: usize, b: usize, c: f64, bytes: usize): void {
  const shift = f64x2.splat(c);
  for (let q: usize = 0; q < bytes; q += 16) {
    v128.store(to + q, dmath.exp(f64x2.sub(f64x2.add(v128.load(a + q), v128.load(b + q)), shift)));
  }
}

/** Largest a + b. */
function highest(a: usize, b: usize, bytes: usize): f64 {
  let m = f64x2.add(v128.load(a), v128.load(b));
  for (let q: usize = 16; q < bytes; q += 16) m = f64x2.pmax(m, f64x2.add(v128.load(a + q), v128.load(b + q)));
  return max(f64x2.extract_lane(m, 0), f64x2.extract_lane(m, 1));
}

/**
 * The gradient of a number is how often it is met, on average by e^{score}, less how often the tags meet it:
 *
 *     P(yₜ = j) = e^{alphaₜ[j] + betaₜ[j]} / Σ          P(yₜ = i, yₜ₊₁ = j) = e^{alphaₜ[i] + w_ij + xₜ₊₁[j] + betaₜ₊₁[j]} / Σ
 *
 *     dx                          [T,B,K]  accumulated, or 0
 *     dtransitions, dstart, dend  accumulated, floats without gaps
 *     scratch                     [K + 6,K]  doubles
 *     w, alpha                    from the forward pass
 */
export function crfBackward(
  dx: usize,
  dtransitions: usize,
  dstart: usize,
  dend: usize,
  scratch: usize,
  w: usize,
  alpha: usize,
  stride: usize,
  x: usize,
  ld: usize,
  tags: usize,
  lengths: usize,
  T: i32,
  B: i32,
  K: i32,
  u: usize,
  scale: f64,
): void {
  const row = rowOf(K);
  const step = <usize>B * ld;
  const wanted = dx !== 0;
  const end = w + <usize>(K + 1) * row;
  const dw = scratch;
  const dfirst = dw + <usize>K * row;
  const dlast = dfirst + row;
  const share = dlast + row;
  const terms = share + row;
  const beta = terms + row;
  const after = beta + row;
  memory.fill(dw, 0, <usize>(K + 2) * row);
  for (let b = 0; b < B; b++, dx += ld, x += ld, tags += 4, alpha += stride) {
    const steps = lengths ? load<i32>(slot(lengths, b)) : T;
    const weight = u ? load<f64>(cell(u, b)) : 1;
    let a = alpha + <usize>(steps - 1) * row;
    const all = total(a, end, K);
    memory.copy(beta, end, row);
    for (let t = steps - 1; t >= 0; t--) {
      const q = <usize>t * step;
      const tag = load<i32>(slot(tags, t * B));
      expRow(share, a, beta, all, row);
      addTo(cell(share, tag), -1);
      if (wanted) addScaled(dx + q, share, K, scale * weight);
      if (t === steps - 1) addRow(dlast, share, weight, row);
      if (t === 0) {
        addRow(dfirst, share, weight, row);
        break;
      }
      // back over the transitions: the terms of a label's beta are its shares, but for a factor
      a -= row;
      addScores(after, beta, x + q, row);
      for (let i = 0; i < K; i++) {
        const wi = w + <usize>i * row;
        const m = highest(wi, after, row);
        expRow(terms, wi, after, m, row);
        const factor = dmath.exp1(load<f64>(cell(a, i)) + m - all);
        store<f64>(cell(beta, i), m + dmath.log1(addRow(dw + <usize>i * row, terms, factor * weight, row)));
      }
      addTo(cell(dw + <usize>load<i32>(slot(tags, (t - 1) * B)) * row, tag), -weight);
    }
  }
  for (let i = 0; i < K; i++) addScaled(slot(dtransitions, i * K), dw + <usize>i * row, K, scale);
  addScaled(dstart, dfirst, K, scale);
  addScaled(dend, dlast, K, scale);
}

/** to_j = maxᵢ fromᵢ + w_ij, and in back_j which i that is. */
function choose(to: usize, back: usize, from: usize, w: usize, K: i32): void {
  const row = rowOf(K);
  for (let q: usize = 0; q < row; q += 16) {
    let m = f64x2.add(v128.load64_splat(from), v128.load(w + q));
    let which = i64x2.splat(0);
    let wi = w + q + row;
    for (let i = 1; i < K; i++, wi += row) {
      const v = f64x2.add(v128.load64_splat(cell(from, i)), v128.load(wi));
      which = v128.bitselect(i64x2.splat(i), which, f64x2.gt(v, m));
      m = f64x2.pmax(m, v);
    }
    v128.store(to + q, m);
    v128.store64_lane(back + (q >> 1), v128.shuffle<i32>(which, which, 0, 2, 0, 2), 0);
  }
}

/**
 * The labels with the largest score (A. Viterbi 1967, https://doi.org/10.1109/TIT.1967.1054010); of equal ones the lowest label.
 *
 *     out     [T,B]  i32, overwritten with them; not past an end
 *     scores  [B]    overwritten with their score
 *     w       [K + 2,K]  doubles, best [2,K] doubles, from [T,K] i32 with K rounded up to whole pairs: scratch
 */
export function crfDecode(
  out: usize,
  scores: usize,
  w: usize,
  best: usize,
  from: usize,
  x: usize,
  ld: usize,
  lengths: usize,
  transitions: usize,
  start: usize,
  end: usize,
  T: i32,
  B: i32,
  K: i32,
): void {
  spread(w, transitions, start, end, K);
  const row = rowOf(K);
  const first = w + <usize>K * row;
  for (let b = 0; b < B; b++, x += ld, out += 4) {
    const steps = lengths ? load<i32>(slot(lengths, b)) : T;
    let now = best;
    let next = best + row;
    let back = from;
    addScores(now, first, x, row);
    for (let t = 1; t < steps; t++, back += row >> 1) {
      choose(next, back, now, w, K);
      addScores(next, next, x + <usize>(t * B) * ld, row);
      const old = now;
      now = next;
      next = old;
    }
    addRow(now, first + row, 1, row);
    let tag = 0;
    for (let j = 1; j < K; j++) if (load<f64>(cell(now, j)) > load<f64>(cell(now, tag))) tag = j;
    store<f32>(slot(scores, b), <f32>load<f64>(cell(now, tag)));
    store<i32>(slot(out, (steps - 1) * B), tag);
    for (let t = steps - 2; t >= 0; t--) {
      back -= row >> 1;
      tag = load<i32>(slot(back, tag));
      store<i32>(slot(out, t * B), tag);
    }
  }
}
