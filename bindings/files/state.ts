/** Where a stream stands, as a safetensors file: `h.0`, `h.1` … and `c.0` … [B,F], layer by layer. */
import * as check from '../check.js';
import { FormatError } from '../errors.js';
import { State } from '../nn/recurrent/state.js';
import { readSafetensors, type Tensor, writeSafetensors } from './safetensors.js';

/**
 * Writes a state, for `loadState`.
 *
 * @throws TypeError for what is not a state
 */
export function saveState(state: State): Uint8Array<ArrayBuffer> {
  check.made('state', state, 'clone', 'a State');
  return writeSafetensors(stateTensors(state), {});
}

/**
 * Whether the state fits some layers is checked when they are given it.
 *
 * @throws FormatError for a file that is damaged or holds something else
 */
export function loadState(bytes: Uint8Array | ArrayBuffer): State {
  return stateOf(readSafetensors(bytes).tensors);
}

export function stateTensors(state: State): Map<string, Tensor> {
  const { batch } = state;
  const tensors = new Map<string, Tensor>();
  for (const kind of ['h', 'c'] as const) {
    state[kind].forEach((data, l) => {
      tensors.set(`${kind}.${l}`, { shape: [batch, data.length / batch], data });
    });
  }
  return tensors;
}

/** @throws FormatError for tensors that are not those of a state */
export function stateOf(tensors: ReadonlyMap<string, Tensor>): State {
  const of = (kind: 'h' | 'c') => {
    const list: Float32Array[] = [];
    for (let t = tensors.get(`${kind}.0`); t; t = tensors.get(`${kind}.${list.length}`)) list.push(t.data);
    return list;
  };
  const [h, c] = [of('h'), of('c')];
  const batch = tensors.get('h.0')?.shape[0] ?? 0;
  const alike = [...tensors.values()].every(({ shape }) => shape.length === 2 && shape[0] === batch);
  if (batch === 0 || h.length + c.length !== tensors.size || !alike) {
    throw new FormatError('the file does not hold a state');
  }
  return new State(batch, h, c);
}
