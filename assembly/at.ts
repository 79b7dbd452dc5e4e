/** Addresses: the fields of a call block, the elements of an array of 32-bit numbers. */

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

/** Address of element i. */
export function slot(array: usize, i: i32): usize {
  return array + ((<usize>i) << 2);
}
