/** A recurrent layer in one direction over a whole sequence, of integers; see ../recurrent.ts. */
import { at } from '../at';
import { gruRow, lstmRow, rnnRow } from './cells';
import { quantizeRows } from './integers';
import { QuantizedCell, Run, UNITS } from './layout';
import { product8, product16 } from './product';

/**
 * y for all steps, and c, from x and the initial state. For many steps at once z = x Wxᵀ + b, then, step by step, the product with the
 * state, which is quantized at every step, and the cell's own arithmetic.
 *
 * Returns -1, or the number of the row of x, or of h0 after those, that holds a NaN; y and c are then not complete.
 */
export function recurrent(s: usize): i32 {
  const T = at.i32(s, Run.T);
  const B = at.i32(s, Run.B);
  const I = at.i32(s, Run.I);
  const units = at.i32(s, Run.H);
  const H = (units + UNITS - 1) & -UNITS;
  const cell = at.i32(s, Run.cell);
  const bytes = at.i32(s, Run.bytes) !== 0;
  const reverse = at.i32(s, Run.reverse) !== 0;
  const ahead = at.i32(s, Run.ahead);
  const x = at.ptr(s, Run.x);
  const ldx = at.ptr(s, Run.ldx);
  const qx = at.ptr(s, Run.qx);
  const ldqx = at.ptr(s, Run.ldqx);
  const wx = at.ptr(s, Run.wx);
  const xScale = at.ptr(s, Run.xScale);
  const xBias = at.ptr(s, Run.xBias);
  const wh = at.ptr(s, Run.wh);
  const hScale = at.ptr(s, Run.hScale);
  const hBias = at.ptr(s, Run.hBias);
  const panels = at.i32(s, Run.panels);
  const z = at.ptr(s, Run.z);
  const ldz = (<usize>panels) << 7;
  const g = at.ptr(s, Run.g);
  const y = at.ptr(s, Run.y);
  const ldy = at.ptr(s, Run.ldy);
  const c = at.ptr(s, Run.c);
  const ldh = at.ptr(s, Run.ldh);
  const qh = at.ptr(s, Run.qh);
  const ldqh = at.ptr(s, Run.ldqh);
  const factor = at.f32(s, Run.hFactor);
  assert(T > 0 && B > 0 && ahead > 0);

  let h = at.ptr(s, Run.h0);
  let ldBefore = ldh;
  const wrong = quantizeRows(qh, ldqh, h, ldh, B, H, factor, factor);
  if (wrong >= 0) return T * B + wrong;
  let base = 0; // the step that has the first rows of z
  for (let n = 0; n < T; n++) {
    const t = reverse ? T - 1 - n : n;
    if (n % ahead === 0) {
      const steps = min(ahead, T - n);
      base = reverse ? t + 1 - steps : t;
      const R = steps * B;
      const from = x + <usize>(base * B) * ldx;
      const bad = quantizeRows(qx, ldqx, from, ldx, R, I, at.f32(s, Run.xFactor), at.f32(s, Run.xLimit));
      if (bad >= 0) return base * B + bad;
      if (bytes) product8(z, ldz, xBias, 0, qx, ldqx, wx, xScale, R, panels, I);
      else product16(z, ldz, xBias, 0, qx, ldqx, wx, xScale, R, panels, I);
    }
    const zt = z + <usize>((t - base) * B) * ldz;
    const to = cell === QuantizedCell.gru ? g : zt;
    const init = cell === QuantizedCell.gru ? hBias : zt;
    const ldi: usize = cell === QuantizedCell.gru ? 0 : ldz;
    if (bytes) product8(to, ldz, init, ldi, qh, ldqh, wh, hScale, B, panels, units);
    else product16(to, ldz, init, ldi, qh, ldqh, wh, hScale, B, panels, units);
    const yt = y + <usize>(t * B) * ldy;
    for (let r: usize = 0; r < <usize>B; r++) {
      const a = zt + r * ldz;
      const out = yt + r * ldy;
      const q = qh + r * ldqh;
      if (cell === QuantizedCell.lstm) lstmRow(a, c + r * ldh, out, q, H, factor);
      else if (cell === QuantizedCell.gru) gruRow(a, g + r * ldz, h + r * ldBefore, out, q, H, factor);
      else rnnRow(a, out, q, H, factor);
    }
    h = yt;
    ldBefore = ldy;
  }
  return -1;
}
