import { scanStep, scanStepBackward } from '../scan';

/** Bytes from the gates of four units to those of the next four. */
const NEXT: usize = 32;

// <step>
/**
 * minGRU, one step of `rows` sequences. No gate sees the state, so there are no recurrent weights.
 *
 *     p, n = σ(x W_pᵀ + b_p), x W_nᵀ + b_n          h₁ = (1 - p) ⊙ h₀ + p ⊙ n          positive: n = g(x W_nᵀ + b_n)
 *
 * Feng et al. 2024, arXiv:2410.01201v1, where p is z; g as in its appendix B.3: x + ½ where x ≥ 0, σ(x) elsewhere.
 *
 *     z  [rows, p n]  in: the net inputs; out: p, n
 */
export function mingruStep(s: usize, rows: i32, z: usize, h0: usize, h1: usize): void {
  scanStep(s, rows, z, h0, h1, NEXT);
}
// </step>

// <backward>
/**
 *     d = dy + dh          da_p = d ⊙ (n - h₀) ⊙ p(1-p)          da_n = d ⊙ p ⊙ g'          dh₀ = d ⊙ (1 - p)
 *
 *     z   in: p, n; out: da_p, da_n
 *     dh  out: d ⊙ (1 - p)
 */
export function mingruStepBackward(s: usize, rows: i32, z: usize, h0: usize, dy: usize, dh: usize): void {
  scanStepBackward(s, rows, z, h0, dy, dh, NEXT);
}
// </backward>
