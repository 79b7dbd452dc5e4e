/** Time, and what is made of samples of it. */

/** Milliseconds of processor that this process has had: what others took meanwhile does not count. */
export function clock(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** Rounded to this number of decimal digits. */
export function round(x: number, digits: number): number {
  return Number(x.toFixed(digits));
}
