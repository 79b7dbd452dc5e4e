/** What toOnnx writes, run by ONNX Runtime: every task, and every cell that ONNX has. */
import { createRequire } from 'node:module';
import { toOnnx } from 'gatewise/export/onnx';
import { cases, create, outputs } from './networks.mjs';
import { distance } from './predictions.part.mjs';

export const title = 'every task and every cell that ONNX has in ONNX Runtime, within 1e-5';

export default async function ({ npmPackage, check }) {
  const at = await npmPackage('onnxruntime-node', '1.30.0');
  const { InferenceSession, Tensor } = createRequire(import.meta.url)(at);
  const ints = (values, dims) => new Tensor('int64', BigInt64Array.from(values, BigInt), dims);
  const floats = (values, dims) => new Tensor('float32', Float32Array.from(values), dims);
  const lengthsOf = (batch) =>
    new Tensor(
      'int32',
      Int32Array.from(batch, ({ length }) => length),
      [batch.length],
    );
  const zeros = (session, B) =>
    Object.fromEntries(
      session.inputMetadata
        .filter(({ name }) => /^[hc]\.\d+$/.test(name))
        .map(({ name, shape }) => [name, floats(new Float32Array(B * shape[1]), [B, shape[1]])]),
    );

  /** A batch of sequences as the inputs of a graph. */
  function feed(input, batch, place = '') {
    const encoded = batch.map((sequence, i) => input.encode(`inputs[${i}]`, sequence));
    const [T, B] = [Math.max(...encoded.map(({ length }) => length)), encoded.length];
    const lengths = { [`${place}lengths`]: lengthsOf(encoded) };
    if (input.config.kind === 'vectors') {
      const F = input.size;
      const values = new Float32Array(T * B * F);
      encoded.forEach((one, b) => {
        for (let t = 0; t < one.length; t++) values.set(one.values.subarray(t * F, (t + 1) * F), (t * B + b) * F);
      });
      return { ...lengths, [`${place}values`]: floats(values, [T, B, F]) };
    }
    const tokens = input.config.features.map(({ name }, k) => {
      const ids = new Array(T * B).fill(0);
      encoded.forEach((one, b) => one.ids[k].forEach((id, t) => (ids[t * B + b] = id)));
      return [`${place}tokens${name ? `.${name}` : ''}`, ints(ids, [T, B])];
    });
    return { ...lengths, ...Object.fromEntries(tokens) };
  }

  /** Rows past the ends of sequences, which do not count, as zeros. */
  function masked({ dims: [, B, F], data }, lengths) {
    return Array.from(data, (v, i) => (Math.floor(i / (B * F)) < lengths.data[Math.floor(i / F) % B] ? v : 0));
  }

  /** Step by step from an encoder's outputs: each list of rows joined. */
  async function decode({ encoder, decoder }, first, steps) {
    const start = await (await InferenceSession.create(encoder)).run(first);
    const session = await InferenceSession.create(decoder);
    const known = {
      ...start,
      ...Object.fromEntries(Object.entries(first).filter(([name]) => name.endsWith('lengths'))),
    };
    const results = [];
    for (const step of steps) {
      const given = { ...known, ...step };
      const fed = Object.fromEntries(session.inputNames.map((name) => [name, given[name]]));
      const result = await session.run(fed);
      for (const [name, value] of Object.entries(result)) if (name.startsWith('next.')) known[name.slice(5)] = value;
      results.push(result);
    }
    return (name) => results.flatMap((result) => [...result[name].data]);
  }

  /** What ONNX Runtime makes of a case, under the names of `outputs`. */
  async function computed(one, task, file) {
    const { data } = one;
    const { layers } = task.model;
    if (data.sources) {
      const B = data.tokens[0].length;
      const names = layers.sources.map(({ name }) => name);
      const first = names.map((name, k) =>
        feed(
          layers.inputs[k],
          data.sources.slice(0, B).map((pair) => pair[k]),
          name && `${name}.`,
        ),
      );
      const steps = data.tokens.map((row) => ({ token: ints(row, [B]) }));
      const get = await decode(file, Object.assign({}, ...first), steps);
      const found = { logits: get('logits') };
      if (!one.options.attention) return found;
      names.forEach((name, k) => {
        // [T,S,B] there, [T,B,S] here
        const all = get(name ? `${name}.attention.weights` : 'attention.weights');
        const S = all.length / B / steps.length;
        found[`weights${k || ''}`] = all.map((_, i) => {
          const [t, b, s] = [Math.floor(i / (B * S)), Math.floor(i / S) % B, i % S];
          return all[(t * S + s) * B + b];
        });
      });
      return found;
    }
    if (data.X) {
      const B = data.X.length;
      const tokens = typeof one.options.target === 'string';
      const steps = data.before.map((row) => (tokens ? { token: ints(row, [B]) } : { before: floats(row, [B, 2]) }));
      const get = await decode(file, { x: floats(data.X.flat(), [B, data.X[0].length]) }, steps);
      if (tokens) return { logits: get('logits') };
      return { logits: get(one.options.target.vectors ? 'values' : 'logits'), over: get('over') };
    }
    const session = await InferenceSession.create(file);
    if (data.text) {
      const ids = task.vocabulary.encode('text', data.text);
      // in two halves: the states of the first are those that the second begins with
      let states = zeros(session, 1);
      const logits = [];
      for (const part of [ids.slice(0, 5), ids.slice(5)]) {
        const result = await session.run({ tokens: ints(part, [part.length, 1]), ...states });
        logits.push(...result.logits.data);
        states = Object.fromEntries(Object.keys(states).map((name) => [name, result[`next.${name}`]]));
      }
      return { logits };
    }
    if (data.windows) {
      const [B, T, F] = [data.windows.length, data.windows[0].length, data.windows[0][0].length];
      const values = data.windows[0].flatMap((_, t) => data.windows.flatMap((window) => window[t]));
      const { future = [] } = data;
      const later = future.length ? { future: floats(future.flat(2), [future.length, B, future[0][0].length]) } : {};
      const { forecasts } = await session.run({ values: floats(values, [T, B, F]), ...later });
      const [, horizon, width] = forecasts.dims;
      if (one.options.method !== 'recursive') return { step0: [...forecasts.data] };
      const at = (k) =>
        data.windows.flatMap((_, b) =>
          [...forecasts.data].slice((b * horizon + k) * width, (b * horizon + k + 1) * width),
        );
      return Object.fromEntries(Array.from({ length: horizon }, (_, k) => [`step${k}`, at(k)]));
    }
    const given = feed(layers.input, data.inputs);
    const result = await session.run(given);
    const rows = Object.values(result).map((value) =>
      value.dims.length === 3 ? masked(value, given.lengths) : [...value.data],
    );
    return Object.fromEntries(rows.map((values, k) => [`logits${k || ''}`, values]));
  }

  for (const one of cases) {
    const task = await create(one);
    const name = `${one.task}, ${one.name}`;
    if (one.onnx) {
      const found = await computed(one, task, await toOnnx(task));
      for (const [output, { values }] of Object.entries(outputs(task, one.data))) {
        const d = distance(found[output] ?? [], values);
        check(`${name}, ${output}`, d <= 1e-5, d.toExponential(1));
      }
    } else {
      const message = await toOnnx(task).then(
        () => 'it was written',
        (error) => `${error.name}: ${error.message}`,
      );
      check(`${name}: refused`, /^UnsupportedError: toOnnx: ONNX/.test(message), message);
    }
    task.dispose();
  }
}
