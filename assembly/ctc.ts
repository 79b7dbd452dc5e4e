/**
 * Connectionist temporal classification: the loss of a labelling of which only the order is known.
 *
 *     loss_b = -ln Σ_π Πₜ softmax(x_t)[πₜ]      over the paths π that are the labels once repeats, then blanks, are dropped
 *
 * A. Graves, S. Fernández, F. Gomez, J. Schmidhuber, Connectionist temporal classification: labelling unsegmented sequence data with
 * recurrent neural networks, ICML 2006, https://doi.org/10.1145/1143844.1143891
 *
 * The states of a path come in S + 1 pairs: pair k is the blank before label k, and label k. After the last blank there is a label
 * that never comes. A path stays, moves to the next state, or from a label to the next label if that is another one. States have
 * scores, sums of the raw x along all paths, as logarithms in double precision:
 *
 *     alphaₜ  from the start to step t, with it        betaₜ  from after step t to the end
 */
import { slot } from './at';
import { addTo, cell, dmath, NEVER } from './double';
import { BEAM_NODE, BEAM_PREFIX } from './layout';
import { vmath } from './math';
import { tailMask } from './rows';
import { simd } from './simd';

/** ln Σ eˣ over C floats of a padded row. The largest term is 1 and exact, so that nearly certain classes keep their digits. */
function logSumExp(x: usize, C: i32): f64 {
  const bytes = (<usize>C) << 2;
  const whole = (<usize>(C & ~3)) << 2;
  const mask = v128.load(tailMask(C));
  const lowest = f32x4.splat(-Infinity);
  let high = lowest;
  for (let q: usize = 0; q < whole; q += 16) high = f32x4.pmax(high, v128.load(x + q));
  if (C & 3) high = f32x4.pmax(high, v128.bitselect(v128.load(x + whole), lowest, mask));
  const max = simd.max(high);
  const shift = f32x4.splat(max);
  let sum = f64x2.splat(0);
  for (let q: usize = 0; q < bytes; q += 16) {
    let e = vmath.exp(f32x4.sub(v128.load(x + q), shift));
    if (q === whole) e = v128.and(e, mask);
    sum = f64x2.add(sum, f64x2.promote_low_f32x4(e));
    sum = f64x2.add(sum, f64x2.promote_low_f32x4(v128.shuffle<f32>(e, e, 2, 3, 0, 1)));
  }
  return <f64>max + dmath.log1(dmath.sum(sum));
}

/** The scores of pair k by themselves. */
function own(x: usize, labels: usize, k: i32, S: i32, blank: i32): v128 {
  const label = k < S ? <f64>load<f32>(slot(x, load<i32>(slot(labels, k)))) : NEVER;
  const pair = f64x2.replace_lane(f64x2.splat(<f64>load<f32>(slot(x, blank))), 1, label);
  return f64x2.pmax(pair, f64x2.splat(NEVER));
}

/** What pair k has from the label state before it, whose score is given: its own label state may have it. */
function leap(score: f64, labels: usize, k: i32, S: i32): v128 {
  const never = f64x2.splat(NEVER);
  if (k < 1 || k >= S || load<i32>(slot(labels, k)) === load<i32>(slot(labels, k - 1))) return never;
  return f64x2.replace_lane(never, 1, score);
}

/** n pairs that are never reached. */
function clear(pairs: usize, n: i32): void {
  for (const end = pairs + ((<usize>n) << 4); pairs < end; pairs += 16) v128.store(pairs, f64x2.splat(NEVER));
}

/** The score of all paths, from the last row of alphas. */
function total(row: usize, S: i32): f64 {
  const last = row + ((<usize>S) << 4);
  return dmath.logAdd(load<f64>(last), load<f64>(last - 8));
}

/** Rows of alphas, from that before the first step on; a pair before them is overwritten, too. Returns the last row. */
function alphas(alpha: usize, x: usize, step: usize, steps: i32, labels: usize, S: i32, blank: i32): usize {
  const row = (<usize>(S + 1)) << 4;
  clear(alpha - 16, S + 2);
  store<f64>(alpha, 0);
  for (let t = 0; t < steps; t++, x += step) {
    for (let k = 0; k <= S; k++, alpha += 16) {
      const before = load<f64>(alpha - 8);
      const v = dmath.logSum(v128.load(alpha), v128.load(alpha - 8), leap(before, labels, k, S));
      v128.store(alpha + row, f64x2.add(v, own(x, labels, k, S, blank)));
    }
  }
  return alpha;
}

/**
 * Returns Σ w_b·loss_b.
 *
 *     norms    [T,B]    doubles, overwritten with ln Σ e^{x_t}, for the backward pass; not past an end
 *     alpha    overwritten: one pair and T + 1 rows of S + 1 pairs of doubles, for each sequence `stride` bytes further; 0 where no
 *              backward pass follows
 *     x        [T,B,C]
 *     labels   [Σ S_b]  i32 in 0…C-1, none the blank
 *     sizes    [B]      i32, S_b
 *     lengths  [B]      i32, or 0
 *     losses   [B]      doubles, overwritten
 *     weights  [B]      doubles w_b; with `zeroInfinity` those of infinite losses become 0, as the losses do
 */
export function ctcForward(
  norms: usize,
  alpha: usize,
  stride: usize,
  x: usize,
  ld: usize,
  labels: usize,
  sizes: usize,
  lengths: usize,
  T: i32,
  B: i32,
  C: i32,
  blank: i32,
  losses: usize,
  weights: usize,
  zeroInfinity: i32,
): f64 {
  const step = <usize>B * ld;
  let sum: f64 = 0;
  for (let b = 0; b < B; b++, x += ld, alpha += stride) {
    const S = load<i32>(slot(sizes, b));
    const steps = lengths ? load<i32>(slot(lengths, b)) : T;
    let every: f64 = 0;
    for (let t = 0; t < steps; t++) {
      const norm = logSumExp(x + <usize>t * step, C);
      store<f64>(cell(norms, t * B + b), norm);
      every += norm;
    }
    const paths = total(alphas(alpha + 16, x, step, steps, labels, S, blank), S);
    let loss = every - paths;
    if (paths < 0.5 * NEVER) {
      loss = zeroInfinity ? 0 : Infinity;
      if (zeroInfinity) store<f64>(cell(weights, b), 0);
    }
    store<f64>(cell(losses, b), loss);
    const weight = load<f64>(cell(weights, b));
    if (weight !== 0) sum += weight * loss;
    labels = slot(labels, S);
  }
  return sum;
}

/**
 *     dx_t += s·w_b·(softmax(x_t) - Σ of e^{alphaₜ + betaₜ} over the states of each class / that over all states)
 *
 *     dx      [T,B,C]  accumulated
 *     beta    max S_b + 2 pairs of doubles, shares [C] doubles, whole pairs: scratch
 *     norms, alpha, weights   from the forward pass
 */
export function ctcBackward(
  dx: usize,
  beta: usize,
  shares: usize,
  norms: usize,
  alpha: usize,
  stride: usize,
  x: usize,
  ld: usize,
  labels: usize,
  sizes: usize,
  lengths: usize,
  T: i32,
  B: i32,
  C: i32,
  blank: i32,
  weights: usize,
  scale: f64,
): void {
  const step = <usize>B * ld;
  for (let b = 0; b < B; b++, dx += ld, x += ld, alpha += stride) {
    const S = load<i32>(slot(sizes, b));
    const steps = lengths ? load<i32>(slot(lengths, b)) : T;
    const weight = load<f64>(cell(weights, b));
    if (weight === 0) {
      labels = slot(labels, S);
      continue;
    }
    const row = (<usize>(S + 1)) << 4;
    let from = alpha + 16 + <usize>steps * row;
    const paths = f64x2.splat(total(from, S));
    // betas with the scores of their states; a pair after them is never reached
    clear(beta, S + 2);
    store<f64>(beta + row - 16, 0);
    for (let t = steps - 1; t >= 0; t--, from -= row) {
      const xt = x + <usize>t * step;
      memory.fill(shares, 0, (<usize>C) << 3);
      for (let k = 0; k <= S; k++) {
        const at = (<usize>k) << 4;
        const pair = beta + at;
        const v = dmath.logSum(v128.load(pair), v128.load(pair + 8), leap(load<f64>(pair + 24), labels, k + 1, S));
        v128.store(pair, f64x2.add(v, own(xt, labels, k, S, blank)));
        const share = dmath.exp(f64x2.sub(f64x2.add(v128.load(from + at), v), paths));
        addTo(cell(shares, blank), f64x2.extract_lane(share, 0));
        if (k < S) addTo(cell(shares, load<i32>(slot(labels, k))), f64x2.extract_lane(share, 1));
      }
      const norm = load<f64>(cell(norms, t * B + b));
      softmaxLess(dx + <usize>t * step, xt, norm, shares, C, scale * weight);
    }
    labels = slot(labels, S);
  }
}

/** dx += s·(e^{x - norm} - shares) */
function softmaxLess(dx: usize, x: usize, norm: f64, shares: usize, C: i32, s: f64): void {
  const shift = f64x2.splat(norm);
  const scale = f64x2.splat(s);
  const bytes = (<usize>C) << 2;
  for (let q: usize = 0; q < bytes; q += 8) {
    const p = dmath.exp(f64x2.sub(f64x2.promote_low_f32x4(v128.load64_zero(x + q)), shift));
    const d = f32x4.demote_f64x2_zero(f64x2.mul(f64x2.sub(p, v128.load(shares + 2 * q)), scale));
    v128.store64_lane(dx + q, simd.flush(f32x4.add(v128.load64_zero(dx + q), d)), 0);
  }
  if (C & 1) store<f32>(dx + bytes, 0);
}

/**
 * The largest class of each step, of equal ones the first; then repeats, then blanks are dropped.
 *
 *     out    [B,T]  i32, overwritten from the left with the labels of each sequence
 *     sizes  [B]    i32, overwritten with how many they are
 */
export function ctcBestPath(
  out: usize,
  sizes: usize,
  x: usize,
  ld: usize,
  lengths: usize,
  T: i32,
  B: i32,
  C: i32,
  blank: i32,
): void {
  for (let b = 0; b < B; b++, x += ld, out = slot(out, T)) {
    const steps = lengths ? load<i32>(slot(lengths, b)) : T;
    let last = blank;
    let n = 0;
    for (let t = 0; t < steps; t++) {
      const row = x + <usize>(t * B) * ld;
      let best = 0;
      for (let c = 1; c < C; c++) if (load<f32>(slot(row, c)) > load<f32>(slot(row, best))) best = c;
      if (best !== last && best !== blank) store<i32>(slot(out, n++), best);
      last = best;
    }
    store<i32>(slot(sizes, b), n);
  }
}

/** A node of the tree of all prefixes that ever were in the beam: BEAM_NODE bytes. Others are meant by their addresses, none by 0. */
@unmanaged
class Node {
  parent: usize;
  /** Its youngest child, and the next older child of its parent. */
  child: usize;
  sibling: usize;
  label: i32;
  /** Where in the beam it is, or -1. */
  place: i32;
}

/** A prefix in the beam: BEAM_PREFIX bytes. */
@unmanaged
class Prefix {
  /** ln of the probability of its paths, of those that end in a blank, and of those that end in its last label. */
  all: f64;
  blank: f64;
  label: f64;
  node: usize;
  /** -1, or the label by which it grows from its node, while it has none of its own. */
  grows: i32;
}

function node(at: usize): Node {
  return changetype<Node>(at);
}

function prefix(beam: usize, i: i32): Prefix {
  return changetype<Prefix>(beam + <usize>(i * BEAM_PREFIX));
}

/** ln of a prefix's paths that label c may follow as another label. */
function before(a: Prefix, c: i32): f64 {
  return c === node(a.node).label ? a.blank : a.all;
}

/** ln softmax(x)[c], `norm` is ln Σ eˣ. */
function logp(x: usize, c: i32, norm: f64): f64 {
  return max(<f64>load<f32>(slot(x, c)) - norm, NEVER);
}

/** Puts a prefix where it belongs among the n best so far, after those that are equal. Returns how many there are then, at most W. */
function keep(beam: usize, n: i32, W: i32, all: f64, blank: f64, label: f64, at: usize, grows: i32): i32 {
  if (!(all > 0.5 * NEVER) || (n === W && all <= prefix(beam, n - 1).all)) return n;
  let i = n < W ? n : n - 1;
  for (; i > 0 && prefix(beam, i - 1).all < all; i--) {
    memory.copy(changetype<usize>(prefix(beam, i)), changetype<usize>(prefix(beam, i - 1)), BEAM_PREFIX);
  }
  const to = prefix(beam, i);
  to.all = all;
  to.blank = blank;
  to.label = label;
  to.node = at;
  to.grows = grows;
  return min(n + 1, W);
}

/** The child of a node with that label; a new one at `fresh` if it has none. */
function childOf(parent: usize, label: i32, fresh: usize): usize {
  let at = node(parent).child;
  while (at && node(at).label !== label) at = node(at).sibling;
  if (at) return at;
  const child = node(fresh);
  child.parent = parent;
  child.child = 0;
  child.sibling = node(parent).child;
  child.label = label;
  node(parent).child = fresh;
  return fresh;
}

/**
 * Prefix beam search over one sequence: A. Hannun, A. Maas, D. Jurafsky, A. Ng, First-pass large vocabulary continuous speech
 * recognition using bi-directional recurrent DNNs, 2014, arXiv:1408.2873v2, without a language model. At each step the W best
 * prefixes stay, by the sum over their paths; those of a prefix that left the beam are lost to it. Of equal ones the earlier stays:
 * the one that was in the beam before those that grow, and smaller labels before larger ones.
 *
 *     out     [W,T]  i32, overwritten from the left with the labels of each prefix, best first
 *     sizes   [W]    i32, overwritten with how many they are
 *     scores  [W]    overwritten with ln of the probability of each
 *     tree    [T·W + 1] nodes, beams [2,W] prefixes, marks [C] i32: scratch
 *     x       [T,C]  rows `step` bytes apart
 *
 * Returns how many prefixes there are, at most W.
 */
export function ctcBeamSearch(
  out: usize,
  sizes: usize,
  scores: usize,
  tree: usize,
  beams: usize,
  marks: usize,
  x: usize,
  step: usize,
  T: i32,
  C: i32,
  blank: i32,
  W: i32,
): i32 {
  assert(offsetof<Node>() === BEAM_NODE && offsetof<Prefix>() === BEAM_PREFIX);
  let beam = beams;
  let next = beams + <usize>(W * BEAM_PREFIX);
  // the root's label is one that no label equals
  memory.fill(tree, 0, BEAM_NODE);
  node(tree).label = blank;
  let fresh = tree + BEAM_NODE;
  let n = keep(beam, 0, W, 0, 0, NEVER, tree, -1);
  memory.fill(marks, 0, (<usize>C) << 2);
  let mark = 0;
  for (let t = 0; t < T; t++, x += step) {
    const norm = logSumExp(x, C);
    let m = 0;
    // as they are: one more blank, the last label again, or that label, added to the prefix before
    for (let i = 0; i < n; i++) {
      const a = prefix(beam, i);
      const own = node(a.node);
      const y = logp(x, own.label, norm);
      const blanks = a.all + logp(x, blank, norm);
      let labels = a.label + y;
      const place = own.parent ? node(own.parent).place : -1;
      if (place >= 0) labels = dmath.logAdd(labels, before(prefix(beam, place), own.label) + y);
      m = keep(next, m, W, dmath.logAdd(blanks, labels), blanks, labels, a.node, -1);
    }
    // grown by a label, but to those that are there already
    for (let i = 0; i < n; i++) {
      const a = prefix(beam, i);
      if (m === W && a.all <= prefix(next, m - 1).all) break;
      mark++;
      for (let child = node(a.node).child; child; child = node(child).sibling) {
        if (node(child).place >= 0) store<i32>(slot(marks, node(child).label), mark);
      }
      for (let c = 0; c < C; c++) {
        if (c === blank || load<i32>(slot(marks, c)) === mark) continue;
        const score = before(a, c) + logp(x, c, norm);
        m = keep(next, m, W, score, NEVER, score, a.node, c);
      }
    }
    for (let i = 0; i < n; i++) node(prefix(beam, i).node).place = -1;
    for (let i = 0; i < m; i++) {
      const a = prefix(next, i);
      if (a.grows >= 0) {
        a.node = childOf(a.node, a.grows, fresh);
        if (a.node === fresh) fresh += BEAM_NODE;
      }
      node(a.node).place = i;
    }
    const old = beam;
    beam = next;
    next = old;
    n = m;
  }
  for (let i = 0; i < n; i++, out = slot(out, T)) {
    const a = prefix(beam, i);
    let size = 0;
    for (let at = a.node; at !== tree; at = node(at).parent) size++;
    store<i32>(slot(sizes, i), size);
    store<f32>(slot(scores, i), <f32>a.all);
    for (let at = a.node; at !== tree; at = node(at).parent) store<i32>(slot(out, --size), node(at).label);
  }
  return n;
}
