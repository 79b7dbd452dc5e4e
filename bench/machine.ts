/** Processor and engine: what charts and tables name, and floors are kept by. */
import { readFileSync } from 'node:fs';
import { arch, cpus } from 'node:os';

export interface Processor {
  /** Its name, as the system gives it. */
  readonly name: string;
  /** Vendor, family and model of x86; undefined where the system does not say. */
  readonly vendor?: string | undefined;
  readonly family?: number | undefined;
  readonly model?: number | undefined;
}

/** Reads the first processor of a /proc/cpuinfo. */
export function parseCpuinfo(text: string, name: string): Processor {
  const field = (key: string) => new RegExp(`^${key}\\s*: (.*)$`, 'm').exec(text)?.[1].trim();
  const number = (key: string) => {
    const value = field(key);
    return value === undefined || value === '' ? undefined : Number(value);
  };
  return {
    name: field('model name') ?? name,
    vendor: field('vendor_id'),
    family: number('cpu family'),
    model: number('model'),
  };
}

export function processor(): Processor {
  const name = cpus()[0]?.model.trim() || `unknown ${arch()} processor`;
  try {
    return parseCpuinfo(readFileSync('/proc/cpuinfo', 'utf8'), name);
  } catch {
    // only Linux has this file
    return { name };
  }
}

/** `Intel(R) Xeon(R) Processor (GenuineIntel, family 6, model 167)` */
export function describe({ name, vendor, family, model }: Processor): string {
  return vendor === undefined ? name : `${name} (${vendor}, family ${family}, model ${model})`;
}

export const engine = (() => {
  const { versions } = process as { versions: Record<string, string | undefined> };
  const name = versions.bun ? 'bun' : versions.deno ? 'deno' : 'node';
  return `${name} ${versions[name]}`;
})();

/** Date, processor and engine, for a chart. */
export function machine(): string {
  return `${new Date().toISOString().slice(0, 10)}, ${describe(processor())}, ${engine}`;
}
