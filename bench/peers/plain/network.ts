/** The networks of the comparison in plain JavaScript: stack, character model, classifier. */
import { type Cell, Layer, type Shape, type Start } from './layer.js';
import { type Floats, type FloatsConstructor, product, sumRows, transpose } from './product.js';
import { Weights } from './weights.js';

/** y = x Wᵀ + b. */
export class Head {
  readonly weight: Weights;
  readonly bias: Weights;
  readonly y: Floats;
  /** Gradient of y, to be filled by who reads it; gradient of x. */
  readonly dy: Floats;
  readonly dx: Floats;
  readonly #weightT: Floats;
  readonly #dyT: Floats;
  readonly #xT: Floats;

  constructor(
    Numbers: FloatsConstructor,
    readonly R: number,
    readonly I: number,
    readonly O: number,
    start: { weight: ArrayLike<number>; bias: ArrayLike<number> },
  ) {
    this.weight = new Weights(Numbers, 'head.weight', start.weight, true);
    this.bias = new Weights(Numbers, 'head.bias', start.bias, true);
    this.y = new Numbers(R * O);
    this.dy = new Numbers(R * O);
    this.dx = new Numbers(R * I);
    this.#weightT = new Numbers(I * O);
    this.#dyT = new Numbers(R * O);
    this.#xT = new Numbers(R * I);
  }

  forward(x: Floats, xAt: number): void {
    const { R, I, O } = this;
    for (let r = 0; r < R; r++) for (let o = 0; o < O; o++) this.y[r * O + o] = this.bias.values[o];
    product(this.y, 0, O, x, xAt, I, this.weight.values, 0, I, R, O, I);
  }

  backward(x: Floats, xAt: number): void {
    const { R, I, O } = this;
    transpose(this.#weightT, this.weight.values, 0, I, O, I);
    this.dx.fill(0);
    product(this.dx, 0, I, this.dy, 0, O, this.#weightT, 0, O, R, I, O);
    transpose(this.#dyT, this.dy, 0, O, R, O);
    transpose(this.#xT, x, xAt, I, R, I);
    this.weight.gradient.fill(0);
    product(this.weight.gradient, 0, I, this.#dyT, 0, R, this.#xT, 0, R, O, I, R);
    sumRows(this.bias.gradient, this.dy, O, R);
  }

  /** Mean cross-entropy of softmax(y), and its gradient into dy. */
  loss(targets: ArrayLike<number>): number {
    const { R, O, y, dy } = this;
    let loss = 0;
    for (let r = 0; r < R; r++) {
      const at = r * O;
      let most = y[at];
      for (let o = 1; o < O; o++) most = Math.max(most, y[at + o]);
      let sum = 0;
      for (let o = 0; o < O; o++) sum += dy[at + o] = Math.exp(y[at + o] - most);
      for (let o = 0; o < O; o++) dy[at + o] /= sum * R;
      loss += Math.log(sum) + most - y[at + targets[r]];
      dy[at + targets[r]] -= 1 / R;
    }
    return loss / R;
  }
}

/** What a network starts from, by PyTorch's names. */
export type Named = Record<string, ArrayLike<number>>;

function layerStart(named: Named, suffix: string): Start {
  const of = (name: string) => named[`rnn.${name}${suffix}`];
  return {
    weight_ih: of('weight_ih'),
    weight_hh: of('weight_hh'),
    bias_ih: of('bias_ih'),
    bias_hh: of('bias_hh'),
  };
}

/** A stack that only runs forward. */
export class Stack {
  readonly layers: Layer[];

  constructor(Numbers: FloatsConstructor, cell: Cell, shape: Shape & { L: number }, named: Named, training = false) {
    this.layers = Array.from({ length: shape.L }, (_, l) => {
      const I = l === 0 ? shape.I : shape.H;
      const suffix = `_l${l}`;
      return new Layer(Numbers, cell, { ...shape, I }, layerStart(named, suffix), { training, suffix });
    });
  }

  forward(x: Floats): Layer {
    let [from, at] = [x, 0];
    for (const layer of this.layers) {
      layer.forward(from, at);
      [from, at] = [layer.h, layer.outputs];
    }
    return this.layers[this.layers.length - 1];
  }
}

interface Network {
  readonly weights: Weights[];
  /** One whole step; returns the loss. */
  train(inputs: ArrayLike<number>, targets: ArrayLike<number>): number;
}

/** Embedding, stack, softmax. */
export class CharacterModel implements Network {
  readonly weights: Weights[];
  readonly #embedding: Weights;
  readonly #x: Floats;
  readonly #stack: Stack;
  readonly #head: Head;
  #steps = 0;

  constructor(
    Numbers: FloatsConstructor,
    cell: Cell,
    readonly shape: Shape & { L: number; V: number },
    named: Named,
    readonly rate: number,
  ) {
    const { T, B, I, H, V } = shape;
    this.#embedding = new Weights(Numbers, 'embedding.weight', named['embedding.weight'], true);
    this.#x = new Numbers(T * B * I);
    this.#stack = new Stack(Numbers, cell, shape, named, true);
    this.#head = new Head(Numbers, T * B, H, V, { weight: named['head.weight'], bias: named['head.bias'] });
    const layers = this.#stack.layers.flatMap((layer) => layer.all);
    this.weights = [this.#embedding, ...layers, this.#head.weight, this.#head.bias];
  }

  train(tokens: ArrayLike<number>, targets: ArrayLike<number>): number {
    const { I: E } = this.shape;
    const { layers } = this.#stack;
    const table = this.#embedding;
    for (let r = 0; r < tokens.length; r++) {
      for (let e = 0; e < E; e++) this.#x[r * E + e] = table.values[tokens[r] * E + e];
    }
    const last = this.#stack.forward(this.#x);
    this.#head.forward(last.h, last.outputs);
    const loss = this.#head.loss(targets);
    this.#head.backward(last.h, last.outputs);
    last.dy.set(this.#head.dx);
    for (let l = layers.length - 1; l > 0; l--) {
      layers[l].backward(layers[l - 1].h, layers[l - 1].outputs);
      layers[l - 1].dy.set(layers[l].dx);
    }
    layers[0].backward(this.#x);
    table.gradient.fill(0);
    const { dx } = layers[0];
    for (let r = 0; r < tokens.length; r++) {
      for (let e = 0; e < E; e++) table.gradient[tokens[r] * E + e] += dx[r * E + e];
    }
    this.#steps++;
    for (const w of this.weights) w.adam(this.#steps, this.rate);
    return loss;
  }
}

/** One layer in both directions, whose final states are classified. */
export class Classifier implements Network {
  readonly weights: Weights[];
  readonly #x: Floats;
  readonly #ends: Floats;
  readonly #dh: Floats;
  readonly #layers: Layer[];
  readonly #head: Head;
  #steps = 0;

  constructor(
    Numbers: FloatsConstructor,
    cell: Cell,
    readonly shape: Shape & { V: number },
    named: Named,
    readonly rate: number,
  ) {
    const { T, B, I, H, V } = shape;
    this.#x = new Numbers(T * B * I);
    this.#ends = new Numbers(2 * B * H);
    this.#dh = new Numbers(B * H);
    this.#layers = ['_l0', '_l0_reverse'].map((suffix, d) => {
      return new Layer(Numbers, cell, shape, layerStart(named, suffix), { training: true, reverse: d === 1, suffix });
    });
    this.#head = new Head(Numbers, B, 2 * H, V, { weight: named['head.weight'], bias: named['head.bias'] });
    this.weights = [...this.#layers.flatMap((layer) => layer.all), this.#head.weight, this.#head.bias];
  }

  train(inputs: ArrayLike<number>, targets: ArrayLike<number>): number {
    const { T, B, H } = this.shape;
    this.#x.set(inputs);
    this.#layers.forEach((layer, d) => {
      layer.forward(this.#x);
      const at = d === 0 ? T * B * H : 0;
      for (let b = 0; b < B; b++) {
        for (let u = 0; u < H; u++) this.#ends[b * 2 * H + d * H + u] = layer.h[at + b * H + u];
      }
    });
    this.#head.forward(this.#ends, 0);
    const loss = this.#head.loss(targets);
    this.#head.backward(this.#ends, 0);
    this.#layers.forEach((layer, d) => {
      for (let b = 0; b < B; b++) {
        for (let u = 0; u < H; u++) this.#dh[b * H + u] = this.#head.dx[b * 2 * H + d * H + u];
      }
      layer.dy.fill(0);
      layer.backward(this.#x, 0, this.#dh);
    });
    this.#steps++;
    for (const w of this.weights) w.adam(this.#steps, this.rate);
    return loss;
  }
}
