/**
 * Checks of arguments, and their wording: name, what was expected, what came. They run at the public entries, before anything is
 * changed.
 */

/** A name or a text that others gave, short enough for a sentence. */
export function cut(text: string, most = 40): string {
  return text.length > most ? `${text.slice(0, most)}…` : text;
}

/** What came, short enough for a sentence. */
export function show(value: unknown): string {
  if (typeof value === 'string') return `'${cut(value)}'`;
  if (typeof value === 'bigint') return `${value}n`;
  if (typeof value === 'function') return 'a function';
  if (typeof value !== 'object' || value === null) return String(value);
  const { length } = value as { length?: unknown };
  const name = value.constructor?.name ?? 'object';
  return typeof length === 'number' ? `${name} of length ${length}` : name === 'Object' ? 'an object' : `a ${name}`;
}

export function fail(name: string, expected: string, value: unknown): never {
  const message = `${name}: expected ${expected}, got ${show(value)}`;
  throw typeof value === 'number' ? new RangeError(message) : new TypeError(message);
}

/** Two options, or values of options, that exclude each other. */
export function clash(a: string, b: string, why: string): never {
  throw new RangeError(`${a} and ${b} cannot be combined: ${why}`);
}

/** A whole number in [low, high]. */
export function whole(name: string, value: unknown, low = 1, high = 2 ** 31 - 1): number {
  if (typeof value === 'number' && Number.isInteger(value) && value >= low && value <= high) return value;
  const range = high < 2 ** 31 - 1 ? ` from ${low} to ${high}` : low !== 1 ? ` of at least ${low}` : '';
  return fail(name, low === 1 && !range ? 'a positive whole number' : `a whole number${range}`, value);
}

/** A finite number in [low, high], or in (low, high] with `open`. */
export function number(name: string, value: unknown, low = -Infinity, high = Infinity, open = false): number {
  if (typeof value === 'number' && Number.isFinite(value) && (open ? value > low : value >= low) && value <= high) {
    return value;
  }
  const least = low > -Infinity ? ` ${open ? 'above' : 'of at least'} ${low}` : '';
  const most = high < Infinity ? `${least ? ' and' : ''} at most ${high}` : '';
  return fail(name, `a finite number${least}${most}`, value);
}

/** The largest number of single precision. */
const MAX_FLOAT = 3.4028234663852886e38;

/** A finite number of single precision. */
export function float(name: string, value: unknown): number {
  if (Math.abs(number(name, value)) <= MAX_FLOAT) return value as number;
  return fail(name, `a number of single precision, at most ${MAX_FLOAT}`, value);
}

/**
 * That a list has n numbers of single precision, none of them NaN or infinite.
 *
 * @param skip tells which numbers do not matter
 */
export function numbers(
  name: string,
  values: ArrayLike<number>,
  n: number,
  shape: string,
  skip?: (i: number) => boolean,
): void {
  const { length } = (values ?? fail(name, `${shape} numbers`, values)) as { length?: unknown };
  if (typeof values !== 'object' || typeof length !== 'number') fail(name, `${shape} numbers`, values);
  if (length !== n) throw new RangeError(`${name}: expected ${shape} = ${n} numbers, got ${length}`);
  for (let i = 0; i < n; i++) {
    const value = values[i];
    if (typeof value === 'number' && Math.abs(value) <= MAX_FLOAT) continue;
    if (!skip?.(i)) fail(`${name}[${i}]`, 'a finite number', value);
  }
}

/** Floats of any realm, say of an iframe. */
export function isFloats(value: unknown): value is Float32Array | Float64Array {
  // false for a proxy; asked at each step of a stream, so the arrays of another realm come last
  return (
    ArrayBuffer.isView(value) &&
    (value instanceof Float32Array ||
      value instanceof Float64Array ||
      /^\[object Float(32|64)Array]$/.test(Object.prototype.toString.call(value)))
  );
}

export function flag(name: string, value: unknown): boolean {
  return typeof value === 'boolean' ? value : fail(name, 'true or false', value);
}

export function signal(name: string, value: unknown): AbortSignal | undefined {
  const known =
    value === undefined ||
    (typeof value === 'object' && typeof (value as AbortSignal | null)?.throwIfAborted === 'function');
  return known ? (value as AbortSignal | undefined) : fail(name, 'an AbortSignal', value);
}

export function text(name: string, value: unknown): string {
  return typeof value === 'string' ? value : fail(name, 'a string', value);
}

export function oneOf<const T extends readonly string[]>(name: string, value: unknown, choices: T): T[number] {
  if (choices.includes(value as string)) return value as T[number];
  const message = `${name}: expected ${choices.map((c) => `'${c}'`).join(' or ')}, got ${show(value)}`;
  throw typeof value === 'string' ? new RangeError(message + suggest(value, choices)) : new TypeError(message);
}

/**
 * That a value is what the library makes, of any of its entries: it has this method.
 *
 * @param secret a property that can be read of the object itself only, not of a copy or a proxy, which has no private parts
 */
export function made(name: string, value: unknown, method: string, expected: string, secret = method): void {
  if (typeof (value as Record<string, unknown> | null | undefined)?.[method] !== 'function')
    fail(name, expected, value);
  let whole = false;
  try {
    whole = (value as Record<string, unknown>)[secret] !== made;
  } catch {}
  if (!whole) fail(name, `${expected} itself, not a copy or a proxy`, value);
}

/** What layers are built with. */
export function layer(builder: unknown, name: unknown): void {
  made('builder', builder, 'parameter', 'the Builder that new Model gives', 'parameters');
  text('name', name);
}

/** A model of layers. */
export function model(value: unknown): void {
  made('model', value, 'valueAndGrad', 'a Model', 'random');
}

export function callback(name: string, value: unknown): void {
  if (typeof value !== 'function') fail(name, 'a function', value);
}

/** That `options` is an object and has no option but the known ones. */
export function options(name: string, given: unknown, known: readonly string[]): void {
  if (typeof given !== 'object' || given === null || Array.isArray(given)) fail(name, 'an object of options', given);
  const names = new Set(known);
  for (const key of Object.keys(given)) {
    if (!names.has(key)) throw new TypeError(`${name}: unknown option ${show(key)}${suggest(key, known)}`);
  }
}

/** `; did you mean 'hiddenSize'?` where one is near, else the choices. */
export function suggest(word: string, choices: readonly string[]): string {
  const all = choices.length ? `; expected ${list(choices, 60)}` : '';
  if (word.length > 40) return all;
  const low = word.toLowerCase();
  const begun = choices.find((c) => low.length > 2 && c.toLowerCase().startsWith(low));
  if (begun) return `; did you mean '${cut(begun)}'?`;
  let near = Math.min(Math.max(2, Math.floor(word.length / 2.5)) + 1, word.length);
  let best: string | undefined;
  for (const choice of choices.slice(0, 1000)) {
    if (Math.abs(choice.length - low.length) >= near) continue;
    const d = distance(low, choice.toLowerCase());
    if (d < near) [near, best] = [d, choice];
  }
  return best === undefined ? all : `; did you mean '${cut(best)}'?`;
}

/** Levenshtein's distance. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      next[j] = Math.min(row[j] + 1, next[j - 1] + 1, row[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1));
    }
    row = next;
  }
  return row[b.length];
}

/** `a`, `a and b`, `a, b and 3 more`. */
export function list(items: readonly string[], most = 5): string {
  const shown = items.slice(0, items.length > most ? most - 1 : most).map((item) => cut(item, 100));
  if (items.length > most) return `${shown.join(', ')} and ${items.length - most + 1} more`;
  return shown.length < 2 ? shown.join('') : `${shown.slice(0, -1).join(', ')} and ${shown[shown.length - 1]}`;
}

/** Whether an object has a property itself. Chrome has Object.hasOwn from version 93 on only. */
export function hasOwn(object: object, key: string): boolean {
  return Object.getOwnPropertyDescriptor(object, key) !== undefined;
}
