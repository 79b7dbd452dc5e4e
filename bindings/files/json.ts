/** JSON of files: checked for what JSON.parse lets pass. */
import { show } from '../check.js';
import { FormatError } from '../errors.js';

export type Json = Record<string, unknown>;

export function isRecord(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/**
 * A JSON object.
 *
 * @param what the text is called in errors
 * @throws FormatError for anything else, and for a key that an object has twice
 */
export function parseObject(what: string, text: string): Json {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new FormatError(`${what} is not valid JSON`);
  }
  if (!isRecord(value)) throw new FormatError(`${what} is not a JSON object`);
  // of two equal keys JSON.parse keeps the last one
  if (keysIn(text) !== keysOf(value)) throw new FormatError(`${what} has a duplicate key`);
  return value;
}

/** The number of keys in valid JSON: of its strings with a colon after them. */
function keysIn(text: string): number {
  let keys = 0;
  for (let at = text.indexOf('"'); at >= 0; at = text.indexOf('"', at)) {
    at++;
    while (text[at] !== '"') at += text[at] === '\\' ? 2 : 1;
    at++;
    while (' \n\r\t'.includes(text[at])) at++;
    if (text[at] === ':') keys++;
  }
  return keys;
}

/** The number of keys of all objects within a value. */
function keysOf(value: Json): number {
  let keys = 0;
  const open: unknown[] = [value];
  while (open.length > 0) {
    const next = open.pop();
    if (typeof next !== 'object' || next === null) continue;
    const own = Object.values(next);
    if (!Array.isArray(next)) keys += own.length;
    for (const item of own) open.push(item);
  }
  return keys;
}

/**
 * Runs a check of what a file holds.
 *
 * @param what is put before the message
 * @throws FormatError instead of a TypeError or a RangeError
 */
export function checking<T>(what: string, check: () => T): T {
  try {
    return check();
  } catch (error) {
    if (error instanceof TypeError || error instanceof RangeError) throw new FormatError(`${what}: ${error.message}`);
    throw error;
  }
}

/** A shape, short enough for a sentence. */
export function shapeText(shape: readonly number[]): string {
  return shape.length > 8 ? `[${shape.slice(0, 8).join(', ')}, … ${shape.length} sizes]` : `[${shape.join(', ')}]`;
}

/** What a file says where something else is expected. */
export function shown(value: unknown): string {
  return isRecord(value) ? 'an object' : show(value);
}
