/**
 * One program for every engine: trains each cell for 15 steps and returns a number for all bits of its weights. It uses the language
 * and gatewise only, so that it also runs in an AudioWorklet.
 *
 * @param gatewise the exports of `gatewise`
 * @param options of `Runtime.createSync`
 * @returns digests by the names of cells
 */
export function digests(gatewise, options = {}) {
  const { CELL_NAMES, crossEntropyLoss, Embedding, Linear, Model, Optimizer, Recurrent, Runtime } = gatewise;
  const found = {};
  for (const cell of CELL_NAMES) {
    const runtime = Runtime.createSync(options);
    const model = new Model(runtime, 3, (b) => ({
      embedding: new Embedding(b, 'embedding', { vocabularySize: 12, embeddingSize: 8 }),
      rnn: new Recurrent(b, 'rnn', { cell, inputSize: 8, hiddenSize: 20, numLayers: 2, dropout: 0.1 }),
      head: new Linear(b, 'head', { inputSize: 20, outputSize: 12 }),
    }));
    const optimizer = new Optimizer(model, { optimizer: 'adam', learningRate: 1e-2 });
    const [T, B] = [9, 5];
    const tokens = Array.from({ length: (T + 1) * B }, (_, i) => (i * i + 3 * i) % 12);
    for (let step = 0; step < 15; step++) {
      model.valueAndGrad((tape, { embedding, rnn, head }) => {
        const x = embedding.forward(tape, tokens.slice(0, T * B), { T, B });
        return crossEntropyLoss(tape, head.forward(tape, rnn.forward(tape, x).output), tokens.slice(B));
      });
      model.clipGradNorm(1);
      optimizer.step();
    }
    found[cell] = digest(model.parameters.map(({ name }) => model.get(name)));
    runtime.dispose();
  }
  return found;
}

/** FNV-1a over all bytes, in two halves of 32 bits. */
function digest(arrays) {
  let [a, b] = [0x811c9dc5, 0x01000193];
  for (const { buffer, byteOffset, byteLength } of arrays) {
    for (const byte of new Uint8Array(buffer, byteOffset, byteLength)) {
      a = Math.imul(a ^ byte, 0x01000193) >>> 0;
      b = Math.imul(b ^ byte ^ (a & 255), 0x01000193) >>> 0;
    }
  }
  return a.toString(16).padStart(8, '0') + b.toString(16).padStart(8, '0');
}
