/** Commands, their options and their help: each option is described once, in the table of its command. */
import { parseArgs } from 'node:util';
import { editDistance } from 'gatewise/tasks';

/** A mistake in what was typed. Its message is all that is printed; the exit code is 2. */
export class UsageError extends Error {
  override name = 'UsageError';
}

/** An option of a command. */
export interface Flag {
  /** `flag` takes no value; `choice` takes one of `choices`. */
  readonly kind: 'flag' | 'text' | 'choice' | 'whole' | 'real';
  /** What the help calls its value. */
  readonly value?: string;
  readonly help: string;
  /** What the help says about its default. */
  readonly default?: string;
  readonly choices?: readonly string[];
  /** The limits of a number. */
  readonly low?: number;
  readonly high?: number;
}

export type Flags = Readonly<Record<string, Flag>>;

export interface Command<F extends Flags = Flags> {
  readonly name: string;
  /** What follows the name, as the help shows it. */
  readonly usage: string;
  /** One line for the list of commands. */
  readonly summary: string;
  /** The paragraphs above the options. */
  readonly about: string;
  readonly flags: F;
}

type ValueOf<F extends Flag> = F['kind'] extends 'flag' ? true : F['kind'] extends 'whole' | 'real' ? number : string;

export interface Parsed<F extends Flags> {
  readonly values: { readonly [K in keyof F]?: ValueOf<F[K]> | undefined };
  readonly files: readonly string[];
}

/** The name that was probably meant: `; did you mean 'x'?`, or nothing. */
export function suggest(word: string, names: readonly string[], show = (name: string) => `'${name}'`): string {
  const near = names
    .map((name) => ({ name, distance: name.startsWith(word) && word ? 0 : editDistance([...word], [...name]) }))
    .sort((a, b) => a.distance - b.distance)[0];
  const most = Math.max(2, Math.floor(word.length / 3));
  return near && near.distance < word.length && near.distance <= most ? `; did you mean ${show(near.name)}?` : '';
}

/** Whether the help of a command is asked for. */
export function asksForHelp(args: readonly string[]): boolean {
  const end = args.indexOf('--');
  return (end < 0 ? args : args.slice(0, end)).some((arg) => arg === '--help' || arg === '-h');
}

/**
 * Reads the arguments of a command.
 *
 * @throws UsageError that names the option, what was expected and what came
 */
export function parse<const F extends Flags>(command: Command<F>, args: readonly string[]): Parsed<F> {
  const names = Object.keys(command.flags);
  const { tokens, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    strict: false,
    tokens: true,
    options: Object.fromEntries(
      Object.entries(command.flags).map(([name, { kind }]) => [name, { type: kind === 'flag' ? 'boolean' : 'string' }]),
    ),
  });
  const values: Record<string, true | number | string> = {};
  for (const token of tokens) {
    if (token.kind !== 'option') continue;
    const { name, rawName, value, inlineValue } = token;
    if (!Object.hasOwn(command.flags, name)) {
      const near = suggest(name, names, (known) => `--${known}`);
      throw new UsageError(
        `${rawName} is not an option of ${command.name}${near || `; ${command.name} --help lists its options`}`,
      );
    }
    values[name] = readValue(rawName, command.flags[name], value, inlineValue === true);
  }
  return { values: values as Parsed<F>['values'], files: positionals };
}

function readValue(name: string, flag: Flag, value: string | undefined, inline: boolean): true | number | string {
  const { kind, low = 0, choices = [] } = flag;
  const { high = kind === 'whole' ? Number.MAX_SAFE_INTEGER : Number.POSITIVE_INFINITY } = flag;
  if (kind === 'flag') {
    if (value !== undefined) throw new UsageError(`${name}: takes no value, got '${value}'`);
    return true;
  }
  const number = kind === 'whole' || kind === 'real';
  // a value that follows and begins like an option is a forgotten value
  if (value === undefined || (!inline && /^-/.test(value) && !(number && /^-[\d.]/.test(value)))) {
    throw new UsageError(`${name}: expected a value${value === undefined ? '' : `, got '${value}'`}`);
  }
  if (kind === 'text') return value;
  if (kind === 'choice') {
    if (choices.includes(value)) return value;
    throw new UsageError(`${name}: expected ${choices.join(', ')}, got '${value}'${suggest(value, choices)}`);
  }
  const n = Number(value);
  const what = kind === 'whole' ? 'a whole number' : 'a number';
  if (value.trim() === '' || !Number.isFinite(n) || (kind === 'whole' && !Number.isInteger(n))) {
    throw new UsageError(`${name}: expected ${what}, got '${value}'`);
  }
  if (n < low || n > high) {
    const range = flag.high === undefined && n < low ? `of at least ${low}` : `from ${low} to ${high}`;
    throw new UsageError(`${name}: expected ${what} ${range}, got '${value}'`);
  }
  return n;
}

/** The help of a command. */
export function helpOf(command: Command, program: string): string {
  const rows = Object.entries(command.flags).map(([name, { value, help, choices, default: standard }]) => [
    `--${name}${value ? ` ${value}` : ''}`,
    choices ? `${help}: ${choices.join(', ')}` : help,
    standard ? `default ${standard}` : '',
  ]);
  rows.push(['--help', 'shows this text', '']);
  const [first, second] = [0, 1].map((column) => Math.max(...rows.map((row) => row[column].length)));
  const table = rows.map(([a, b, c]) => `  ${a.padEnd(first)}  ${b.padEnd(second)}  ${c}`.trimEnd()).join('\n');
  return `${program} ${command.name} ${command.usage}\n\n${command.about}\n\n${table}\n`;
}

/** A word as a shell reads it back. */
export function quoted(word: string): string {
  return /^[\w./:=@%+,-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}
