declare module 'fft.js' {
  /** The fast Fourier transform of a size that is a power of two; complex numbers are pairs in one array. */
  export default class FFT {
    constructor(size: number);
    createComplexArray(): number[];
    realTransform(output: number[], input: ArrayLike<number>): void;
    completeSpectrum(spectrum: number[]): void;
    inverseTransform(output: number[], input: ArrayLike<number>): void;
  }
}
