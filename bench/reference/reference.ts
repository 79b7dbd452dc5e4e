/** What a training is, and what it reports to. */

/** What a training shows itself on. */
export interface Report {
  /** A figure that is held to what is wanted of it. */
  check(what: string, got: number, wanted: string, holds: boolean): void;
  /** A figure beside it. */
  note(what: string, got: number): void;
  progress(done: number, total: number, text: string): void;
}

export interface Reference {
  readonly name: string;
  readonly title: string;
  /** Files and folders it reads, below the folder of reference data. */
  readonly needs: readonly string[];
  run(path: (file: string) => string, report: Report): Promise<void>;
}
