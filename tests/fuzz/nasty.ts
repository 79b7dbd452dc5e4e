/** Values that no argument should be able to do harm with. Each is made again for each case. */
import { OwnError } from './verdict.js';

function angry(): never {
  throw new OwnError('from the value itself');
}

function detached(): Float32Array {
  const array = new Float32Array(4);
  structuredClone(array.buffer, { transfer: [array.buffer] });
  return array;
}

const traps = { get: angry, has: angry, ownKeys: angry, getPrototypeOf: angry, getOwnPropertyDescriptor: angry };

/** The same kind of object with other contents: it did not come from the library. */
function forged(value: unknown, change: (of: unknown) => unknown): unknown {
  if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value)) return change(value);
  const copy = Object.create(Object.getPrototypeOf(value));
  for (const key of Object.keys(value)) copy[key] = change((value as Record<string, unknown>)[key]);
  return copy;
}

const larger = (value: unknown) => (typeof value === 'number' ? value + 60 : value);

function holed(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(holed);
  return value instanceof Float32Array ? value.map(() => Number.NaN) : value;
}

/** By what they are called; they are given the valid value. */
export const NASTY: Readonly<Record<string, (valid?: unknown) => unknown>> = {
  'a forged copy': (valid) => forged(valid, (part) => part),
  'a copy with larger numbers': (valid) => forged(valid, larger),
  'a copy with NaN': (valid) => forged(valid, holed),
  undefined: () => undefined,
  null: () => null,
  true: () => true,
  false: () => false,
  zero: () => 0,
  'minus zero': () => -0,
  'minus one': () => -1,
  half: () => 0.5,
  NaN: () => Number.NaN,
  Infinity: () => Infinity,
  '-Infinity': () => -Infinity,
  '2^31': () => 2 ** 31,
  '2^53': () => 2 ** 53,
  '1e308': () => 1e308,
  tiny: () => 1e-320,
  bigint: () => 1n,
  symbol: () => Symbol('s'),
  'empty string': () => '',
  string: () => 'nasty',
  'string of a number': () => '1',
  'lone surrogate': () => '\ud800',
  __proto__: () => '__proto__',
  'NUL and ZWJ': () => '\0\u200d',
  // of a character that no vocabulary has: to train on it would be work, not a hang
  'a megabyte': () => 'w'.repeat(2 ** 20),
  object: () => ({}),
  'without prototype': () => Object.create(null),
  'object with __proto__': () => JSON.parse('{"__proto__":{"polluted":1}}'),
  'unknown option': () => ({ quux: 1 }),
  'empty list': () => [],
  'list of undefined': () => [undefined],
  'list of NaN': () => [Number.NaN, Number.NaN],
  'list of strings': () => ['a', 'b'],
  'list of lists': () => [[]],
  'list of null': () => [null],
  sparse: () => Object.assign([], { length: 3 }),
  'list-like': () => ({ length: 2, 0: 1, 1: 2 }),
  'length -1': () => ({ length: -1 }),
  'length NaN': () => ({ length: Number.NaN }),
  'length 2^32': () => ({ length: 2 ** 32 }),
  'length a string': () => ({ length: '3' }),
  'no floats': () => new Float32Array(0),
  'NaN floats': () => new Float32Array(4).fill(Number.NaN),
  'detached floats': detached,
  'shared floats': () => new Float32Array(new SharedArrayBuffer(16)),
  doubles: () => new Float64Array(4).fill(1e300),
  bytes: () => new Uint8Array(9),
  bigints: () => new BigInt64Array(4),
  date: () => new Date(0),
  map: () => new Map([['a', 1]]),
  function: () => () => undefined,
  'async function': () => async () => undefined,
  'angry function': () => angry,
  class: () => class {},
  promise: () => Promise.resolve(1),
  'String object': () => new String('abc'),
  'angry toString': () => ({ toString: angry, valueOf: angry }),
  'angry getters': () => ({
    get length() {
      return angry();
    },
    get input() {
      return angry();
    },
  }),
  'angry proxy': () => new Proxy({}, traps),
  'list proxy': () => new Proxy([1, 2], {}),
  'aborted signal': () => ({ aborted: false }),
  cyclic: () => {
    const value: Record<string, unknown> = {};
    value.self = value;
    return value;
  },
};
