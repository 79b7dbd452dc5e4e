/** Logarithms and powers by plain arithmetic: the host's Math may differ from engine to engine. */

/** log₂ x; of 0 it is -Infinity, of a negative number NaN. */
export function log2(x: number): number {
  if (!(x > 0 && x < Infinity)) return x === 0 ? -Infinity : x > 0 ? x : Number.NaN;
  let whole = 0;
  for (; x >= 2; x /= 2) whole++;
  for (; x < 1; x *= 2) whole--;
  // ln x = 2 artanh((x - 1) / (x + 1)), at most 1/3
  const u = (x - 1) / (x + 1);
  let sum = 0;
  for (let k = 41; k > 0; k -= 2) sum = sum * u * u + 1 / k;
  return whole + (2 * u * sum) / Math.LN2;
}

export const log10 = (x: number) => log2(x) * Math.LN2 * Math.LOG10E;

/** 2ˣ */
export function exp2(x: number): number {
  if (Math.abs(x) > 1100) return x > 0 ? Infinity : 0;
  let whole = Math.floor(x);
  const y = (x - whole) * Math.LN2;
  let sum = 1;
  for (let k = 20; k > 0; k--) sum = 1 + (y / k) * sum;
  for (; whole > 0; whole--) sum *= 2;
  for (; whole < 0; whole++) sum /= 2;
  return sum;
}
