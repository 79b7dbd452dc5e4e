/** The command line: which command it is, and how mistakes are told. */
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { FormatError } from 'gatewise';
import { asksForHelp, type Command, helpOf, quoted, suggest, UsageError } from './arguments.js';
import { BENCH, bench } from './bench.js';
import { INFO, info } from './info.js';
import { PREDICT, predict } from './predict.js';
import { SAMPLE, sample } from './sample.js';
import { TRAIN, type TrainContext, train } from './train.js';

const COMMANDS: readonly Command[] = [TRAIN, SAMPLE, PREDICT, INFO, BENCH];

function overview({ program, builtIn }: TrainContext): string {
  const rows = COMMANDS.map(({ name, usage, summary }) => [`${program} ${name} ${usage}`, summary]);
  if (builtIn) rows.unshift([program.replace(/ --$/, ''), `train on ${builtIn.name} for about half a minute`]);
  const width = Math.max(...rows.map(([usage]) => usage.length));
  const list = rows.map(([usage, summary]) => `  ${usage.padEnd(width)}  ${summary}`).join('\n');
  return `Trains recurrent networks and runs them.\n\n${list}\n
  ${program} COMMAND --help    lists the options of a command
  ${program} --version         prints the version
`;
}

async function run(args: readonly string[], context: TrainContext): Promise<void> {
  const { program, builtIn } = context;
  const [first, ...others] = args;
  if (first === '--help' || first === '-h' || first === 'help' || (first === undefined && !builtIn)) {
    const asked = COMMANDS.find(({ name }) => first === 'help' && name === others[0]);
    return console.log(asked ? helpOf(asked, program) : overview(context));
  }
  if (first === '--version') {
    return console.log(createRequire(import.meta.url)('gatewise/package.json').version);
  }
  // with a built-in text, options alone mean train
  const [name, rest] = builtIn && (first === undefined || first.startsWith('-')) ? ['train', args] : [first, others];
  const command = COMMANDS.find((known) => known.name === name);
  if (!command) {
    if (name.startsWith('-')) throw new UsageError(`${name}: expected a command first; ${program} --help lists them`);
    const names = COMMANDS.map((known) => known.name);
    const near = existsSync(name)
      ? `; to train on that file: ${program} train ${quoted(name)}`
      : suggest(name, names, (known) => known) || `; the commands are ${names.join(', ')}`;
    throw new UsageError(`${name}: is not a command${near}`);
  }
  if (asksForHelp(rest)) return console.log(helpOf(command, program));
  if (command === TRAIN) await train(rest, context);
  else if (command === SAMPLE) await sample(rest);
  else if (command === PREDICT) await predict(rest);
  else if (command === INFO) await info(rest);
  else await bench(rest);
}

/** Runs a command. Mistakes of the user end with exit code 2, what fails later with 1. */
export async function main(args: readonly string[], context: TrainContext): Promise<void> {
  // a reader such as `head` that has seen enough, or a terminal that is gone; a training continues without them
  process.stdout.on('error', () => {
    if (args[0] === 'sample' || args[0] === 'predict') process.exit(0);
  });
  process.stderr.on('error', () => {});
  try {
    await run(args, context);
  } catch (error) {
    const known = error instanceof UsageError || error instanceof FormatError;
    const invalid = error instanceof TypeError || error instanceof RangeError;
    console.error((error as Error).message);
    process.exitCode = known || invalid ? 2 : 1;
  }
}
