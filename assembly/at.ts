/** Addresses and sizes: the fields of a call block, the elements of an array of 32-bit numbers, rows and panels. */
import { LINE, PANEL, Seq } from './layout';

/** Field number `field` of a block, as what it is. */
export class at {
  @inline static i32(block: usize, field: i32): i32 {
    return load<i32>(slot(block, field));
  }

  @inline static ptr(block: usize, field: i32): usize {
    return load<usize>(slot(block, field));
  }

  @inline static f32(block: usize, field: i32): f32 {
    return load<f32>(slot(block, field));
  }
}

/** The same of a cell's own fields in the block of a recurrent layer. */
export class own {
  /** Address of fields. */
  @inline static at(block: usize, field: i32): usize {
    return slot(block, Seq.own + field);
  }

  @inline static i32(block: usize, field: i32): i32 {
    return at.i32(block, Seq.own + field);
  }

  @inline static ptr(block: usize, field: i32): usize {
    return at.ptr(block, Seq.own + field);
  }

  @inline static f32(block: usize, field: i32): f32 {
    return at.f32(block, Seq.own + field);
  }
}

/** Address of element i. */
export function slot(array: usize, i: i32): usize {
  return array + ((<usize>i) << 2);
}

/** Bytes of F floats up to the next whole vector: what kernels read and write of a row. */
export function rowBytes(F: i32): usize {
  return (<usize>((F + 3) & ~3)) << 2;
}

/** Bytes of n lines of a panel. */
export function lines(n: i32): usize {
  return <usize>n * LINE;
}

/** Panels that F columns take. */
export function panelsOf(F: i32): i32 {
  return (F + (PANEL - 1)) >> 4;
}
