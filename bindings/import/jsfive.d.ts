/** What is used of jsfive, which has no types of its own. */
declare module 'jsfive' {
  export class File {
    constructor(buffer: ArrayBuffer, name?: string);
    readonly attrs: Readonly<Record<string, unknown>>;
    get(path: string): null;
  }
}
