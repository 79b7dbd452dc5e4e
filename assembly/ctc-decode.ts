/** What a network trained with CTC says: its best path, or the best labellings of a beam. */
import { slot } from './at';
import { logSumExp } from './ctc';
import { dmath, NEVER } from './double';
import { BEAM_NODE, BEAM_PREFIX } from './layout';

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

/** Puts a prefix where it belongs among the n best so far, of equal ones behind. Returns how many there are then, at most W. */
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

/** The child of a node with that label; a new one at `fresh` if there is none. */
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
    // as they are: one more blank, the last label again, or that label new behind the prefix before
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
