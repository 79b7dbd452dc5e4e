/** `gatewise info`: what a model is. */
import { type Command, parse, UsageError } from './arguments.js';
import { loadModel } from './models.js';

export const INFO = {
  name: 'info',
  usage: 'MODEL',
  summary: 'say what a model is',
  about: 'Prints the task, the format, the options, the layers with their parameters, and the state of the training.',
  flags: {},
} satisfies Command;

/** Options as a line: long lists by their length. */
function shown(value: unknown): string {
  return JSON.stringify(value, (_, inner) => {
    if (!Array.isArray(inner) || inner.length <= 12) return inner;
    return `${inner.length} values: ${inner.slice(0, 6).map(String).join(', ')} …`;
  });
}

export async function info(args: readonly string[]): Promise<void> {
  const { files } = parse(INFO, args);
  if (files.length !== 1) throw new UsageError(`info: expected one model, got ${files.length}`);
  const [path] = files;
  const { task, format, bytes, model } = await loadModel(path);
  const { training } = model;
  const written = format === null ? 'safetensors without a description' : `gatewise ${format} (safetensors)`;
  const state = training
    ? [`${training.steps} steps`, ...Object.entries(training.options).map(([k, v]) => `${k} ${shown(v)}`)].join(', ')
    : 'none in the file';
  const lines = [
    `file      ${path}, ${bytes.toLocaleString('en')} bytes`,
    `format    ${written}`,
    `task      ${task}`,
    `training  ${state}`,
    'config',
    ...Object.entries(model.config).map(([key, value]) => `  ${key}: ${shown(value)}`),
    '',
    String(model.summary()),
  ];
  console.log(lines.join('\n'));
  model.dispose();
}
