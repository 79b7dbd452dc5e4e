import { scanStep, scanStepBackward } from '../scan';

/** Bytes from the gates of four units to those of the next four. */
const NEXT: usize = 48;

/**
 * minLSTM, one step of `rows` sequences. No gate sees the state, so there are no recurrent weights.
 *
 *     f, i, n = σ(x W_fᵀ + b_f), σ(x W_iᵀ + b_i), x W_nᵀ + b_n          p = i / (f + i)
 *     h₁ = (1 - p) ⊙ h₀ + p ⊙ n                                        positive: n = g(x W_nᵀ + b_n)
 *
 * Feng et al. 2024, arXiv:2410.01201v1, with its normalised gates f / (f + i) = 1 - p and i / (f + i) = p; g as in minGRU.
 *
 *     z  [rows, f i n]  in: the net inputs; out: f, i, n
 */
export function minlstmStep(s: usize, rows: i32, z: usize, h0: usize, h1: usize): void {
  scanStep(s, rows, z, h0, h1, NEXT);
}

/**
 *     d = dy + dh          e = d ⊙ (n - h₀) ⊙ p(1-p)          da_f = -e ⊙ (1 - f)          da_i = e ⊙ (1 - i)
 *                          da_n = d ⊙ p ⊙ g'                  dh₀ = d ⊙ (1 - p)
 *
 *     z   in: f, i, n; out: da_f, da_i, da_n
 *     dh  out: d ⊙ (1 - p)
 */
export function minlstmStepBackward(s: usize, rows: i32, z: usize, h0: usize, dy: usize, dh: usize): void {
  scanStepBackward(s, rows, z, h0, dy, dh, NEXT);
}
