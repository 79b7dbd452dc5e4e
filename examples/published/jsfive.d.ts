/** What is used of jsfive, which has no types of its own. */
declare module 'jsfive' {
  export interface Dataset {
    readonly shape: readonly number[];
    readonly value: ArrayLike<number>;
  }
  export interface Group {
    readonly keys: readonly string[];
    get(path: string): Group | Dataset;
  }
  export const File: new (buffer: ArrayBuffer) => Group;
}
