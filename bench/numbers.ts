/** `n` numbers in ±scale that repeat: a linear congruence with the constants of Numerical Recipes. */
export function numbers(n: number, scale = 1, seed = 1): Float32Array {
  let a = seed;
  return Float32Array.from({ length: n }, () => {
    a = (Math.imul(a, 1664525) + 1013904223) >>> 0;
    return (a / 2 ** 31 - 1) * scale;
  });
}
