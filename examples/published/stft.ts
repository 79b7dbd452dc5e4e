/** Blocks of 512 samples that overlap: 128 new samples at a time, their spectrum, and the sum of what comes out. */
import FFT from 'fft.js';

const [BLOCK, HOP] = [512, 128];

export class Stft {
  readonly #fft = new FFT(BLOCK);
  readonly #past = new Float32Array(BLOCK);
  readonly #sum = new Float32Array(BLOCK);

  /** Takes 128 samples. The magnitudes [257] of the last 512, and those samples with a mask [257] on their spectrum. */
  push(samples: Float32Array): { magnitudes: Float32Array; withMask: (mask: Float32Array) => Float32Array } {
    this.#past.copyWithin(0, HOP);
    this.#past.set(samples, BLOCK - HOP);
    const spectrum = this.#fft.createComplexArray();
    this.#fft.realTransform(spectrum, this.#past);
    this.#fft.completeSpectrum(spectrum);
    const bins = BLOCK / 2 + 1;
    const magnitudes = Float32Array.from({ length: bins }, (_, k) => Math.hypot(spectrum[2 * k], spectrum[2 * k + 1]));
    const withMask = (mask: Float32Array) => {
      // the upper half is the mirror image of the lower one
      const masked = spectrum.map((value, i) => value * mask[Math.min(i >> 1, BLOCK - (i >> 1))]);
      const block = this.#fft.createComplexArray();
      this.#fft.inverseTransform(block, masked);
      return Float32Array.from({ length: BLOCK }, (_, t) => block[2 * t]);
    };
    return { magnitudes, withMask };
  }

  /** Adds a block to those before it, and returns the 128 samples that no later block changes. */
  add(block: Float32Array): Float32Array {
    this.#sum.copyWithin(0, HOP);
    this.#sum.fill(0, BLOCK - HOP);
    block.forEach((value, t) => {
      this.#sum[t] += value;
    });
    return this.#sum.slice(0, HOP);
  }
}

/** Samples with those that came before them in front, and their end mirrored, as far as there are samples before them. */
export function mirrored(before: Float32Array, samples: Float32Array): Float32Array {
  const { length: n } = before;
  const x = new Float32Array(n + samples.length + n);
  x.set(before);
  x.set(samples, n);
  for (let i = 0; i < n; i++) x[n + samples.length + i] = samples[samples.length - 2 - i];
  return x;
}
