/** The errors that have a name of their own. Wrong kinds are TypeErrors, wrong sizes and values RangeErrors. */

/** The engine cannot run the core: no WebAssembly, no SIMD, or a policy forbids it. */
export class UnsupportedError extends Error {
  override name = 'UnsupportedError';
}

/** The engine has no more memory to give. */
export class MemoryError extends Error {
  override name = 'MemoryError';
}

/** A file is not what it should be: cut off, inconsistent, of other shapes. */
export class FormatError extends Error {
  override name = 'FormatError';
}

/** A loss, a gradient or an update is not a finite number. That step did not change the model. */
export class NonFiniteError extends Error {
  override name = 'NonFiniteError';
  constructor(
    message: string,
    /** Number of the step, from 1. */
    readonly step: number,
    /** The first parameter with such a gradient or update, or `'loss'`. */
    readonly where: string,
  ) {
    super(message);
  }
}
