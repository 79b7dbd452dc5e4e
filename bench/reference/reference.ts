/** A reference training, and how it reports. */

/** How a training reports. */
export interface Report {
  /** A metric, and whether it reaches its target. */
  check(what: string, got: number, wanted: string, holds: boolean): void;
  /** A metric without a target. */
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
