/**
 * The order of names that users give: of features, of inputs, of sets of classes. They are keys of objects in the description of a model,
 * their order is that of the layers, and JSON does not promise to keep it. So a file lists them next to the options.
 */
import { FormatError } from '../errors.js';
import { isRecord, type Json, shown } from './json.js';

/** Options whose keys can be names. */
const NAMED = ['features', 'source', 'classes'];

/** Every object of names in a value, from the outside in, by its path. `change` returns what takes its place. */
function walk(value: unknown, path: string, change: (path: string, own: Json) => Json): unknown {
  if (!isRecord(value)) return value;
  const entries = Object.entries(value).map(([key, own]) => {
    const at = path ? `${path}.${key}` : key;
    const named = isRecord(own) && NAMED.includes(key) ? change(at, own) : own;
    return [key, walk(named, at, change)];
  });
  return Object.fromEntries(entries);
}

/** The lists of names in options, by path; undefined without any. */
export function namesIn(config: object): Readonly<Record<string, readonly string[]>> | undefined {
  const found: Record<string, readonly string[]> = {};
  walk(config, '', (path, own) => {
    if (Object.keys(own).length > 1) found[path] = Object.keys(own);
    return own;
  });
  return Object.keys(found).length ? found : undefined;
}

/**
 * Options with their names in the order that a file lists. A file without lists has them in order.
 *
 * @throws FormatError for a list of other names than the options have
 */
export function inOrder(config: Json, names: unknown): Json {
  if (names === undefined) return config;
  const lists = isRecord(names) ? new Map(Object.entries(names)) : null;
  const fault = (path: string, list: unknown): never => {
    throw new FormatError(
      `the file's description: names.${path}: expected the names of the options, got ${shown(list)}`,
    );
  };
  if (!lists) return fault('', names);
  const ordered = walk(config, '', (path, own) => {
    const list = lists.get(path);
    const keys = Object.keys(own);
    lists.delete(path);
    if (keys.length < 2 && list === undefined) return own;
    if (!Array.isArray(list) || list.length !== keys.length || !keys.every((key) => list.includes(key))) {
      return fault(path, list);
    }
    return Object.fromEntries(list.map((key: string) => [key, own[key]]));
  });
  for (const [path, list] of lists) fault(path, list);
  return ordered as Json;
}
