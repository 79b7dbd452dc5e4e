/**
 * Recurrent layers in plain JavaScript: typed arrays, no allocation after a layer has been created. A peer in single precision; in double
 * precision the reference of all peers.
 *
 * Gates, names and shapes are PyTorch's; sequences are time-major.
 */
import { type Floats, type FloatsConstructor, product, sumRows, transpose } from './product.js';
import { Weights } from './weights.js';

export type Cell = 'lstm' | 'gru' | 'gru-before' | 'rnn';

const GATES: Record<Cell, number> = { lstm: 4, gru: 3, 'gru-before': 3, rnn: 1 };

function sigmoid(x: number): number {
  return 1 / (1 + Math.exp(-x));
}

export interface Shape {
  readonly T: number;
  readonly B: number;
  readonly I: number;
  readonly H: number;
}

/** What a layer starts from, by the last part of PyTorch's names. */
export type Start = Record<'weight_ih' | 'weight_hh' | 'bias_ih' | 'bias_hh', ArrayLike<number>>;

/** One recurrent layer in one direction. */
export class Layer {
  readonly weights: { ih: Weights; hh: Weights; bih: Weights; bhh: Weights };
  /** [T+1,B,H], slot 0 (reversed: slot T) the initial state. */
  readonly h: Floats;
  readonly c: Floats;
  /** Where in h the outputs [T,B,H] begin. */
  readonly outputs: number;
  /** [T,B,H] gradient of the outputs, to be filled by who reads them; [T,B,I] gradient of x. */
  readonly dy: Floats;
  readonly dx: Floats;
  /** Gates, then the gradients of their net inputs. */
  readonly #z: Floats;
  /** lstm: tanh c. gru: the state's part of the net inputs, then their gradients. gru-before: r ⊙ h. */
  readonly #kept: Floats;
  readonly #dh: Floats;
  readonly #dc: Floats;
  readonly #ihT: Floats;
  readonly #hhT: Floats;
  readonly #zT: Floats;
  readonly #inT: Floats;

  constructor(
    Numbers: FloatsConstructor,
    readonly cell: Cell,
    readonly shape: Shape,
    start: Start,
    readonly options: { training?: boolean; reverse?: boolean; suffix?: string } = {},
  ) {
    const { T, B, I, H } = shape;
    const { training = false, reverse = false, suffix = '' } = options;
    const G = GATES[cell];
    const R = T * B;
    const make = (name: keyof Start) => new Weights(Numbers, `rnn.${name}${suffix}`, start[name], training);
    this.weights = {
      ih: make('weight_ih'),
      hh: make('weight_hh'),
      bih: make('bias_ih'),
      bhh: make('bias_hh'),
    };
    const n = (count: number) => new Numbers(count);
    const back = (count: number) => new Numbers(training ? count : 0);
    this.h = n((T + 1) * B * H);
    this.c = n(cell === 'lstm' ? (T + 1) * B * H : 0);
    this.outputs = reverse ? 0 : B * H;
    this.#z = n(R * G * H);
    this.#kept = n({ lstm: R * H, gru: R * 3 * H, 'gru-before': R * H, rnn: 0 }[cell]);
    this.dy = back(R * H);
    this.dx = back(R * I);
    this.#dh = back(B * H);
    this.#dc = back(2 * B * H);
    this.#ihT = back(I * G * H);
    this.#hhT = back(H * G * H);
    this.#zT = back(R * G * H);
    this.#inT = back(R * Math.max(I, H));
  }

  get all(): Weights[] {
    const { ih, hh, bih, bhh } = this.weights;
    return [ih, hh, bih, bhh];
  }

  /** Number of the slot before and of that after the n-th step in the order of time's direction, and of the step. */
  #at(n: number): { t: number; before: number; after: number } {
    const { T } = this.shape;
    const t = this.options.reverse ? T - 1 - n : n;
    return this.options.reverse ? { t, before: t + 1, after: t } : { t, before: t, after: t + 1 };
  }

  /** States of all steps, from x [T,B,I] and the initial slot. */
  forward(x: Floats, xAt = 0): void {
    const { T, B, I, H } = this.shape;
    const { ih, hh, bih, bhh } = this.weights;
    const G = GATES[this.cell];
    const W = G * H;
    const z = this.#z;
    const apart = this.cell === 'gru';
    for (let r = 0; r < T * B; r++) {
      for (let j = 0; j < W; j++) z[r * W + j] = bih.values[j] + (apart ? 0 : bhh.values[j]);
    }
    if (apart) for (let r = 0; r < T * B; r++) for (let j = 0; j < W; j++) this.#kept[r * W + j] = bhh.values[j];
    product(z, 0, W, x, xAt, I, ih.values, 0, I, T * B, W, I);
    for (let n = 0; n < T; n++) {
      const { t, before, after } = this.#at(n);
      const rows = t * B * W;
      const h0 = before * B * H;
      const h1 = after * B * H;
      switch (this.cell) {
        case 'lstm':
          product(z, rows, W, this.h, h0, H, hh.values, 0, H, B, W, H);
          this.#lstm(rows, t * B * H, h0, h1);
          break;
        case 'rnn':
          product(z, rows, W, this.h, h0, H, hh.values, 0, H, B, W, H);
          for (let i = 0; i < B * H; i++) this.h[h1 + i] = z[rows + i] = Math.tanh(z[rows + i]);
          break;
        case 'gru':
          product(this.#kept, rows, W, this.h, h0, H, hh.values, 0, H, B, W, H);
          this.#gru(rows, h0, h1);
          break;
        case 'gru-before':
          product(z, rows, W, this.h, h0, H, hh.values, 0, H, B, 2 * H, H);
          this.#gruBefore(rows, t * B * H, h0, h1);
          break;
      }
    }
  }

  /** i f g o = σ σ tanh σ (z); c = f ⊙ c + i ⊙ g; h = o ⊙ tanh c */
  #lstm(rows: number, kept: number, h0: number, h1: number): void {
    const { B, H } = this.shape;
    const z = this.#z;
    for (let b = 0; b < B; b++) {
      for (let u = 0; u < H; u++) {
        const q = rows + b * 4 * H + u;
        const i = sigmoid(z[q]);
        const f = sigmoid(z[q + H]);
        const g = Math.tanh(z[q + 2 * H]);
        const o = sigmoid(z[q + 3 * H]);
        const c = f * this.c[h0 + b * H + u] + i * g;
        const tc = Math.tanh(c);
        z[q] = i;
        z[q + H] = f;
        z[q + 2 * H] = g;
        z[q + 3 * H] = o;
        this.c[h1 + b * H + u] = c;
        this.#kept[kept + b * H + u] = tc;
        this.h[h1 + b * H + u] = o * tc;
      }
    }
  }

  /** r z = σ (x's + h's); n = tanh (x's + r ⊙ h's); h = (1 - z) ⊙ n + z ⊙ h */
  #gru(rows: number, h0: number, h1: number): void {
    const { B, H } = this.shape;
    const a = this.#z;
    const q = this.#kept;
    for (let b = 0; b < B; b++) {
      for (let u = 0; u < H; u++) {
        const j = rows + b * 3 * H + u;
        const r = sigmoid(a[j] + q[j]);
        const z = sigmoid(a[j + H] + q[j + H]);
        const n = Math.tanh(a[j + 2 * H] + r * q[j + 2 * H]);
        a[j] = r;
        a[j + H] = z;
        a[j + 2 * H] = n;
        this.h[h1 + b * H + u] = n + z * (this.h[h0 + b * H + u] - n);
      }
    }
  }

  /** The same with n = tanh (x's + U (r ⊙ h)). */
  #gruBefore(rows: number, kept: number, h0: number, h1: number): void {
    const { B, H } = this.shape;
    const a = this.#z;
    const rh = this.#kept;
    for (let b = 0; b < B; b++) {
      for (let u = 0; u < H; u++) {
        const j = rows + b * 3 * H + u;
        a[j] = sigmoid(a[j]);
        a[j + H] = sigmoid(a[j + H]);
        rh[kept + b * H + u] = a[j] * this.h[h0 + b * H + u];
      }
    }
    product(a, rows + 2 * H, 3 * H, rh, kept, H, this.weights.hh.values, 2 * H * H, H, B, H, H);
    for (let b = 0; b < B; b++) {
      for (let u = 0; u < H; u++) {
        const j = rows + b * 3 * H + u;
        const n = Math.tanh(a[j + 2 * H]);
        a[j + 2 * H] = n;
        this.h[h1 + b * H + u] = n + a[j + H] * (this.h[h0 + b * H + u] - n);
      }
    }
  }

  /** Gradients of the weights, overwritten, and of x, overwritten, from dy and from `dhT` [B,H], the gradient of the final state. */
  backward(x: Floats, xAt = 0, dhT?: Floats): void {
    const { T, B, I, H } = this.shape;
    const { ih, hh, bih, bhh } = this.weights;
    const G = GATES[this.cell];
    const W = G * H;
    const R = T * B;
    const z = this.#z;
    const dh = this.#dh;
    transpose(this.#ihT, ih.values, 0, I, W, I);
    transpose(this.#hhT, hh.values, 0, H, W, H);
    if (dhT) dh.set(dhT);
    else dh.fill(0);
    this.#dc.fill(0);
    for (let n = T - 1; n >= 0; n--) {
      const { t, before } = this.#at(n);
      const rows = t * B * W;
      const h0 = before * B * H;
      for (let i = 0; i < B * H; i++) dh[i] += this.dy[t * B * H + i];
      switch (this.cell) {
        case 'lstm':
          this.#lstmBackward(rows, t * B * H, h0);
          product(dh, 0, H, z, rows, W, this.#hhT, 0, W, B, H, W);
          break;
        case 'rnn':
          for (let i = 0; i < B * H; i++) {
            z[rows + i] = dh[i] * (1 - z[rows + i] * z[rows + i]);
            dh[i] = 0;
          }
          product(dh, 0, H, z, rows, W, this.#hhT, 0, W, B, H, W);
          break;
        case 'gru':
          this.#gruBackward(rows, h0);
          product(dh, 0, H, this.#kept, rows, W, this.#hhT, 0, W, B, H, W);
          break;
        case 'gru-before':
          this.#gruBeforeBackward(rows, h0);
          product(dh, 0, H, z, rows, W, this.#hhT, 0, W, B, H, 2 * H);
          break;
      }
    }
    this.dx.fill(0);
    product(this.dx, 0, I, z, 0, W, this.#ihT, 0, W, R, I, W);

    sumRows(bih.gradient, z, W, R);
    transpose(this.#zT, z, 0, W, R, W);
    transpose(this.#inT, x, xAt, I, R, I);
    ih.gradient.fill(0);
    product(ih.gradient, 0, I, this.#zT, 0, R, this.#inT, 0, R, W, I, R);

    transpose(this.#inT, this.h, this.options.reverse ? B * H : 0, H, R, H);
    hh.gradient.fill(0);
    if (this.cell === 'gru') {
      sumRows(bhh.gradient, this.#kept, W, R);
      transpose(this.#zT, this.#kept, 0, W, R, W);
    } else bhh.gradient.set(bih.gradient);
    if (this.cell === 'gru-before') {
      product(hh.gradient, 0, H, this.#zT, 0, R, this.#inT, 0, R, 2 * H, H, R);
      transpose(this.#inT, this.#kept, 0, H, R, H);
      product(hh.gradient, 2 * H * H, H, this.#zT, 2 * H * R, R, this.#inT, 0, R, H, H, R);
    } else product(hh.gradient, 0, H, this.#zT, 0, R, this.#inT, 0, R, W, H, R);
  }

  /** dc += dh ⊙ o ⊙ (1 - tanh²c); dz from the gates; dh = 0; dc = dc ⊙ f */
  #lstmBackward(rows: number, kept: number, h0: number): void {
    const { B, H } = this.shape;
    const z = this.#z;
    const dh = this.#dh;
    for (let b = 0; b < B; b++) {
      for (let u = 0; u < H; u++) {
        const q = rows + b * 4 * H + u;
        const s = b * H + u;
        const i = z[q];
        const f = z[q + H];
        const g = z[q + 2 * H];
        const o = z[q + 3 * H];
        const tc = this.#kept[kept + s];
        const d = dh[s];
        const dc = this.#dc[s] + d * o * (1 - tc * tc);
        z[q] = dc * g * i * (1 - i);
        z[q + H] = dc * this.c[h0 + s] * f * (1 - f);
        z[q + 2 * H] = dc * i * (1 - g * g);
        z[q + 3 * H] = d * tc * o * (1 - o);
        this.#dc[s] = dc * f;
        dh[s] = 0;
      }
    }
  }

  #gruBackward(rows: number, h0: number): void {
    const { B, H } = this.shape;
    const a = this.#z;
    const q = this.#kept;
    const dh = this.#dh;
    for (let b = 0; b < B; b++) {
      for (let u = 0; u < H; u++) {
        const j = rows + b * 3 * H + u;
        const s = b * H + u;
        const r = a[j];
        const z = a[j + H];
        const n = a[j + 2 * H];
        const d = dh[s];
        const dn = d * (1 - z) * (1 - n * n);
        const dr = dn * q[j + 2 * H] * r * (1 - r);
        const dz = d * (this.h[h0 + s] - n) * z * (1 - z);
        a[j] = q[j] = dr;
        a[j + H] = q[j + H] = dz;
        a[j + 2 * H] = dn;
        q[j + 2 * H] = dn * r;
        dh[s] = d * z;
      }
    }
  }

  #gruBeforeBackward(rows: number, h0: number): void {
    const { B, H } = this.shape;
    const a = this.#z;
    const dh = this.#dh;
    const drh = this.#dc;
    for (let b = 0; b < B; b++) {
      for (let u = 0; u < H; u++) {
        const j = rows + b * 3 * H + u;
        const s = b * H + u;
        const z = a[j + H];
        const n = a[j + 2 * H];
        const d = dh[s];
        a[j + 2 * H] = d * (1 - z) * (1 - n * n);
        a[j + H] = d * (this.h[h0 + s] - n) * z * (1 - z);
        dh[s] = d * z;
        drh[s] = 0;
      }
    }
    product(drh, 0, H, a, rows + 2 * H, 3 * H, this.#hhT, 2 * H, 3 * H, B, H, H);
    for (let b = 0; b < B; b++) {
      for (let u = 0; u < H; u++) {
        const j = rows + b * 3 * H + u;
        const s = b * H + u;
        const r = a[j];
        dh[s] += drh[s] * r;
        a[j] = drh[s] * this.h[h0 + s] * r * (1 - r);
      }
    }
  }
}
