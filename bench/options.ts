/** Options of the commands in this folder. */
import { type ParseArgsConfig, parseArgs } from 'node:util';

type Options = NonNullable<ParseArgsConfig['options']>;

/** Ends the process with a sentence about what cannot be done. */
export function refuse(sentence: string): never {
  console.error(sentence);
  process.exit(1);
}

/** The options that a command was given. Ends the process after its help, or with a sentence about what it does not know. */
export function optionsOf<T extends Options>(help: string, options: T) {
  try {
    const { values } = parseArgs({ options: { ...options, help: { type: 'boolean', default: false } } as const });
    if (!(values as { help?: boolean }).help) return values as ReturnType<typeof parseArgs<{ options: T }>>['values'];
  } catch (error) {
    refuse(`${(error as Error).message.split('. ')[0]}; see --help`);
  }
  console.log(help);
  process.exit(0);
}

/** An option that is a whole number above zero. */
export function count(name: string, text: string): number {
  const value = Number(text);
  if (!(Number.isInteger(value) && value > 0)) refuse(`${name}: expected a whole number above zero, got '${text}'`);
  return value;
}
