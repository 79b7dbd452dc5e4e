import { slot } from './at';
import { vmath } from './math';
import { uniform } from './random';

/**
 * Draws one class from logits.
 *
 *     p ∝ e^{x/temperature}, of which the topK largest stay (0: all), of which the fewest with Σ p ≥ topP stay
 *
 * Temperature 0 takes the largest; of equal ones the first. Nucleus sampling: Holtzman et al. 2020, arXiv:1904.09751v2.
 *
 *     x        [V]   padded row
 *     scratch  [2V]  each half a padded row
 *     u              uniform in [0, 1)
 */
export function sample(x: usize, scratch: usize, V: i32, temperature: f32, topK: i32, topP: f32, u: f32): i32 {
  let best = 0;
  for (let j = 1; j < V; j++) if (load<f32>(slot(x, j)) > load<f32>(slot(x, best))) best = j;
  if (temperature === 0) return best;

  const p = scratch;
  const shift = f32x4.splat(load<f32>(slot(x, best)));
  const scale = f32x4.splat(1 / temperature);
  for (let q: usize = 0; q < (<usize>V) << 2; q += 16) {
    v128.store(p + q, vmath.exp(f32x4.mul(f32x4.sub(v128.load(x + q), shift), scale)));
  }
  let total: f32 = 0;
  for (let j = 0; j < V; j++) total += load<f32>(slot(p, j));
  const fewer = topK > 0 && topK < V;
  if (!fewer && topP >= 1) {
    let left = u * total;
    for (let j = 0; j < V; j++) {
      left -= load<f32>(slot(p, j));
      if (left < 0) return j;
    }
    return best;
  }

  // a heap gives up its largest one by one; the n-th taken ends up n places before the end
  const heap = scratch + ((<usize>((V + 15) & ~15)) << 2);
  for (let j = 0; j < V; j++) store<i32>(slot(heap, j), j);
  for (let j = (V >> 1) - 1; j >= 0; j--) sink(heap, p, j, V);
  const limit = fewer ? topK : V;
  let taken = 0;
  if (fewer) {
    total = 0;
    while (taken < limit) total += take(heap, p, V - taken++);
  }
  let kept: f32 = 0;
  let n = 0;
  while (n < limit && kept < topP * total) {
    if (n === taken) take(heap, p, V - taken++);
    kept += load<f32>(slot(p, load<i32>(slot(heap, V - 1 - n++))));
  }
  let left = u * kept;
  for (let i = 0; i < n; i++) {
    const j = load<i32>(slot(heap, V - 1 - i));
    left -= load<f32>(slot(p, j));
    if (left < 0) return j;
  }
  return best;
}

/** Whether class a comes before class b. */
function before(p: usize, a: i32, b: i32): bool {
  const pa = load<f32>(slot(p, a));
  const pb = load<f32>(slot(p, b));
  return pa > pb || (pa === pb && a < b);
}

/** Restores the heap of n below place i. */
function sink(heap: usize, p: usize, i: i32, n: i32): void {
  const moved = load<i32>(slot(heap, i));
  while (true) {
    let child = 2 * i + 1;
    if (child >= n) break;
    if (child + 1 < n && before(p, load<i32>(slot(heap, child + 1)), load<i32>(slot(heap, child)))) child++;
    const c = load<i32>(slot(heap, child));
    if (before(p, moved, c)) break;
    store<i32>(slot(heap, i), c);
    i = child;
  }
  store<i32>(slot(heap, i), moved);
}

/** Moves the first of a heap of n to its end; returns its probability. */
function take(heap: usize, p: usize, n: i32): f32 {
  const first = load<i32>(heap);
  store<i32>(heap, load<i32>(slot(heap, n - 1)));
  sink(heap, p, 0, n - 1);
  store<i32>(slot(heap, n - 1), first);
  return load<f32>(slot(p, first));
}

/**
 * Draws a class for each row.
 *
 *     classes  [R] i32  overwritten
 *     x        [R,V]
 *     block    of row 0; each row uses the next one
 */
export function sampleRows(
  classes: usize,
  x: usize,
  ld: usize,
  R: i32,
  V: i32,
  scratch: usize,
  temperature: f32,
  topK: i32,
  topP: f32,
  seed: f64,
  stream: u32,
  block: f64,
): void {
  for (let r = 0; r < R; r++, x += ld) {
    const u = uniform(seed, stream, block++);
    store<i32>(slot(classes, r), sample(x, scratch, V, temperature, topK, topP, u));
  }
}

/**
 * Draws bits, each by itself: 1 with probability σ(x/temperature). Temperature 0: 1 where x > 0.
 *
 *     y      [R,F]  overwritten, padding included
 *     x      [R,F]
 *     block  of the first bit; each bit uses the next one
 */
export function sampleBits(
  y: usize,
  x: usize,
  ld: usize,
  R: i32,
  F: i32,
  temperature: f32,
  seed: f64,
  stream: u32,
  block: f64,
): void {
  const scale = f32x4.splat(1 / temperature);
  for (let r = 0; r < R; r++, y += ld, x += ld) {
    memory.fill(y, 0, ld);
    if (temperature !== 0) {
      for (let q: usize = 0; q < (<usize>F) << 2; q += 16) {
        v128.store(y + q, vmath.sigmoid(f32x4.mul(v128.load(x + q), scale)));
      }
    }
    for (let f = 0; f < F; f++) {
      const p = load<f32>(slot(y, f));
      const one = temperature === 0 ? load<f32>(slot(x, f)) > 0 : uniform(seed, stream, block) < p;
      store<f32>(slot(y, f), one ? 1 : 0);
      block++;
    }
    for (let f = F; f & 3; f++) store<f32>(slot(y, f), 0);
  }
}
