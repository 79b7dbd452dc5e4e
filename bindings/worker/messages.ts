/** What a page and a worker send each other: requests with a number, answers with the same number, calls of functions of the page. */
import { FormatError, MemoryError, NonFiniteError, UnsupportedError } from '../errors.js';

/** The number of the protocol: a page and a worker file of different versions refuse each other. */
export const PROTOCOL = 1;

/** A request of the page, by `what`. */
export interface Request {
  readonly id: number;
  readonly what: string;
  readonly [field: string]: unknown;
}

/** What the worker sends: it is ready, an answer, or a function of the page that it calls. */
export interface Answer {
  readonly ready?: number;
  readonly id?: number;
  readonly value?: unknown;
  readonly error?: PackedError;
  /** The model's properties that training changes. */
  readonly state?: Readonly<Record<string, unknown>>;
  /** The run whose function is called, and its place among the options. */
  readonly run?: number;
  readonly callback?: string;
  readonly args?: readonly unknown[];
}

/** An error as plain data. */
export interface PackedError {
  readonly name: string;
  readonly message: string;
  readonly stack?: string | undefined;
  readonly step?: number;
  readonly where?: string;
  /** What the page knows better: its signal was aborted, or its function threw. */
  readonly cause?: 'signal' | 'callback';
}

export function packError(error: unknown, cause?: PackedError['cause']): PackedError {
  const own = error instanceof Error ? error : new Error(String(error));
  const { name, message, stack } = own;
  const about = { name, message, stack, ...(cause ? { cause } : {}) };
  return own instanceof NonFiniteError ? { ...about, step: own.step, where: own.where } : about;
}

const CLASSES: Record<string, new (message: string) => Error> = {
  TypeError,
  RangeError,
  SyntaxError,
  UnsupportedError,
  MemoryError,
  FormatError,
};

/** An error of the same class, with the stack of where it was thrown. */
export function unpackError({ name, message, stack, step = 0, where = '' }: PackedError): Error {
  const Class = CLASSES[name] ?? Error;
  const error = name === 'NonFiniteError' ? new NonFiniteError(message, step, where) : new Class(message);
  if (error.name !== name) error.name = name;
  if (stack) error.stack = stack;
  return error;
}

interface NodeHost {
  readonly process?: { getBuiltinModule?: (name: string) => unknown };
}

/** A module of Node, without an import that a bundler would look for; undefined in pages. */
export function builtin<T>(name: string): T | undefined {
  return (globalThis as NodeHost).process?.getBuiltinModule?.(name) as T | undefined;
}
