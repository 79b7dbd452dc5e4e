/** The rows of `npm run bench`: what is measured, in which shapes, through the public API where there is one. */
import {
  type CellName,
  crossEntropyLoss,
  Embedding,
  input,
  Linear,
  Model,
  Optimizer,
  Recurrent,
  type Rows,
  type Tape,
} from 'gatewise';
import { LanguageModel } from 'gatewise/tasks';
import { runtimeOf } from './builds.js';
import type { Work } from './measure.js';
import { numbers } from './numbers.js';

/** The product alone, weights packed. */
function gemm(M: number, N: number, K: number): Work {
  return {
    id: `gemm-m${M}-n${N}-k${K}`,
    flops: 2 * M * N * K,
    prepare: (build) => {
      const runtime = runtimeOf(build);
      const a = runtime.alloc(4 * M * K, 'a');
      const b = runtime.alloc(4 * K * N, 'b');
      const c = runtime.alloc(4 * M * N, 'c');
      const bias = runtime.alloc(4 * N, 'bias');
      runtime.write(a, numbers(M * K));
      runtime.write(b, numbers(K * N));
      const { core } = runtime;
      return {
        run: () => core.gemm(c, 4 * N, bias, 0, a, 4 * K, b, 64 * K, M, N / 16, K),
        end: () => runtime.dispose(),
      };
    },
  };
}

/** Sets the gradient of rows to ones, instead of a loss. */
function ones(tape: Tape, rows: Rows) {
  return {
    value: 0,
    addGradient: () => {
      tape.runtime.f32.fill(1, rows.grad >>> 2, (rows.grad + rows.T * rows.B * rows.ld) >>> 2);
    },
  };
}

interface Shape {
  B: number;
  T: number;
  I: number;
  H: number;
  L?: number;
}

const GATES: Record<CellName, number> = { rnn: 1, lstm: 4, gru: 3, residual: 1, mingru: 2, minlstm: 3, lru: 2 };

/** Cells without a product with the state. */
const SCANNED: readonly CellName[] = ['mingru', 'minlstm', 'lru'];

/**
 * Operations of a forward pass through a stack.
 *
 * @param distinct rows of the input that differ
 * @param state whether a state is given; the first step is not multiplied with one that is known to be zero
 */
function forwardFlops(cell: CellName, { B, T, I, H, L = 1 }: Shape, { distinct = T * B, state = false } = {}): number {
  const later = (L - 1) * T * B * H;
  const steps = SCANNED.includes(cell) ? 0 : L * (state ? T : T - 1) * B;
  const outputs = cell === 'lru' ? 2 * L * T * B * H * H : 0;
  return 2 * GATES[cell] * H * (distinct * I + later + steps * H) + outputs;
}

/** Of a work on one layer. I is named where it is small against H. */
function idOf(cell: CellName, work: 'train' | 'infer', { B, I, H }: Shape): string {
  return `${cell}-${work}-b${B}-${8 * I <= H ? `i${I}-` : ''}h${H}`;
}

/** Forward, back through time, all gradients: of x and of every weight. */
function trainRecurrent(cell: CellName, shape: Shape): Work {
  const { B, T, I, H } = shape;
  return {
    id: idOf(cell, 'train', shape),
    flops: 3 * forwardFlops(cell, shape),
    prepare: (build) => {
      const runtime = runtimeOf(build);
      const model = new Model(runtime, 1, (b) => new Recurrent(b, 'rnn', { cell, inputSize: I, hiddenSize: H }));
      const x = numbers(T * B * I);
      return {
        run: () => {
          model.valueAndGrad((tape, rnn) => {
            const rows = input(tape, x, { T, B, F: I }, { gradient: true });
            return ones(tape, rnn.forward(tape, rows).output);
          });
        },
        end: () => runtime.dispose(),
      };
    },
  };
}

/** Forward only, x given, the outputs left in the core. */
function inferRecurrent(cell: CellName, shape: Shape): Work {
  const { B, T, I, H } = shape;
  return {
    id: idOf(cell, 'infer', shape),
    flops: forwardFlops(cell, shape),
    prepare: (build) => {
      const runtime = runtimeOf(build);
      const model = new Model(runtime, 1, (b) => new Recurrent(b, 'rnn', { cell, inputSize: I, hiddenSize: H }));
      const x = numbers(T * B * I);
      return {
        run: () => {
          model.forward((tape, rnn) => {
            rnn.forward(tape, input(tape, x, { T, B, F: I }));
          });
        },
        end: () => runtime.dispose(),
      };
    },
  };
}

/** A whole step of a character model: embedding, stack, softmax, loss, back, clipping, Adam. */
function charlm(cell: CellName, { B, T, H, L = 1 }: Omit<Shape, 'I'>): Work {
  const V = 65;
  const E = 64;
  return {
    id: `charlm${cell === 'lstm' ? '' : `-${cell}`}-step-b${B}-${L > 1 ? `${L}x` : ''}h${H}`,
    flops: 3 * (forwardFlops(cell, { B, T, I: E, H, L }, { distinct: V, state: true }) + 2 * T * B * H * V),
    memory: L === 1,
    prepare: (build) => {
      const runtime = runtimeOf(build);
      const model = new Model(runtime, 1, (b) => ({
        embedding: new Embedding(b, 'embedding', { vocabularySize: V, embeddingSize: E }),
        rnn: new Recurrent(b, 'rnn', { cell, inputSize: E, hiddenSize: H, numLayers: L }),
        head: new Linear(b, 'head', { inputSize: H, outputSize: V }),
      }));
      const optimizer = new Optimizer(model, { optimizer: 'adam', learningRate: 1e-3 });
      const state = model.layers.rnn.state(B);
      const tokens = Int32Array.from(numbers(T * B), (v) => Math.abs(Math.floor(v * V)) % V);
      return {
        run: () => {
          model.valueAndGrad((tape, { embedding, rnn, head }) => {
            const { output } = rnn.forward(tape, embedding.forward(tape, tokens, { T, B }), state);
            return crossEntropyLoss(tape, head.forward(tape, output), tokens);
          });
          model.clipGradNorm(1);
          optimizer.step();
        },
        end: () => runtime.dispose(),
      };
    },
  };
}

/** Forward, back through time, all gradients, in both directions. */
function trainBidirectional(shape: Shape): Work {
  const { B, T, I, H } = shape;
  return {
    id: `bilstm-train-b${B}-h${H}`,
    flops: 2 * 3 * forwardFlops('lstm', shape),
    prepare: (build) => {
      const runtime = runtimeOf(build);
      const options = { cell: 'lstm', inputSize: I, hiddenSize: H, bidirectional: true } as const;
      const model = new Model(runtime, 1, (b) => new Recurrent(b, 'rnn', options));
      const x = numbers(T * B * I);
      return {
        run: () => {
          model.valueAndGrad((tape, rnn) => {
            const rows = input(tape, x, { T, B, F: I }, { gradient: true });
            return ones(tape, rnn.forward(tape, rows).output);
          });
        },
        end: () => runtime.dispose(),
      };
    },
  };
}

/** One step through the public `step`. */
function stepOnce(cell: CellName, { I, H }: { I: number; H: number }): Work {
  return {
    id: `${cell}-step-b1-h${H}`,
    flops: forwardFlops(cell, { B: 1, T: 1, I, H }, { state: true }),
    micros: true,
    prepare: (build) => {
      const runtime = runtimeOf(build);
      const model = new Model(runtime, 1, (b) => new Recurrent(b, 'rnn', { cell, inputSize: I, hiddenSize: H }));
      const x = numbers(I);
      const state = model.layers.state(1);
      const output = new Float32Array(H);
      return {
        run: () => {
          model.layers.step(x, state, output);
        },
        end: () => runtime.dispose(),
      };
    },
  };
}

/** One character: embedding, a step, the head, drawing, all in the core; 512 characters a run. */
const generate: Work = {
  id: 'generate',
  flops: forwardFlops('lstm', { B: 1, T: 1, I: 64, H: 128 }, { state: true }) + 2 * 128 * 65,
  micros: true,
  per: 512,
  prepare: (build) => {
    const vocabulary = Array.from({ length: 65 }, (_, i) => String.fromCharCode(33 + i));
    const lm = LanguageModel.createSync({ vocabulary, runtime: runtimeOf(build) });
    return {
      run: () => {
        lm.generateSync({ prompt: '!', length: 512, temperature: 0.8 });
      },
      end: () => lm.runtime.dispose(),
    };
  },
};

const B32 = { B: 32, T: 50, I: 256, H: 256 };
const B16 = { B: 16, T: 64, I: 64, H: 128 };
const ALL = ['lstm', 'gru', 'rnn'] as const;

export const works: Work[] = [
  gemm(1024, 512, 256),
  gemm(32, 1024, 256),
  ...ALL.map((cell) => trainRecurrent(cell, B32)),
  ...ALL.map((cell) => trainRecurrent(cell, B16)),
  trainRecurrent('residual', B16),
  ...SCANNED.map((cell) => trainRecurrent(cell, B16)),
  ...[1, 2, 3, 4].map((B) => trainRecurrent('lstm', { B, T: 50, I: 64, H: 128 })),
  // I ≪ H, and H that is no multiple of the 16 columns of a panel
  ...ALL.map((cell) => trainRecurrent(cell, { B: 16, T: 64, I: 4, H: 128 })),
  ...ALL.map((cell) => trainRecurrent(cell, { B: 16, T: 64, I: 64, H: 100 })),
  trainBidirectional({ B: 16, T: 50, I: 32, H: 64 }),
  charlm('lstm', { B: 16, T: 64, H: 128 }),
  charlm('lstm', { B: 32, T: 64, H: 256, L: 2 }),
  ...[64, 256, 512].flatMap((I, i) =>
    ALL.map((cell) => inferRecurrent(cell, { B: 1, T: 100, I, H: [128, 256, 512][i] })),
  ),
  ...SCANNED.map((cell) => inferRecurrent(cell, { B: 1, T: 100, I: 512, H: 512 })),
  ...[2, 3, 4, 5, 6, 7, 8].map((B) => inferRecurrent('lstm', { B, T: 100, I: 64, H: 128 })),
  ...ALL.map((cell) => inferRecurrent(cell, { B: 1, T: 100, I: 4, H: 128 })),
  ...ALL.map((cell) => inferRecurrent(cell, { B: 1, T: 100, I: 64, H: 100 })),
  inferRecurrent('lstm', { B: 32, T: 50, I: 128, H: 256 }),
  ...ALL.map((cell) => stepOnce(cell, { I: 64, H: 128 })),
  generate,
];
