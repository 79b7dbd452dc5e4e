/** The layers of a learner and the memory of their derivatives: the blocks that `assembly/online` reads, which nothing else writes. */
import { PANEL, Seq } from '../../assembly/layout.js';
import { Column, Layer, Learn, Rule } from '../../assembly/online/layout.js';
import type { Fields } from '../core/block.js';
import { align } from '../core/runtime.js';
import type { Builder } from '../nn/builder.js';
import { Linear } from '../nn/linear.js';
import type { Model } from '../nn/model.js';
import { Direction, type OwnExtra } from '../nn/recurrent/direction.js';
import { type OnlineSettings, RULES, TARGETS } from './options.js';

/** The columns of one gate: what enters each, and how many parameters it has. */
interface Gate {
  /** Of the gate of unit u the column is at z + 16·(⌊u/4⌋·gates) + 4·(u mod 4) bytes. */
  readonly z: number;
  readonly gates: number;
  /** Its row of the weights is that of the unit in this gate of the cell. */
  readonly gate: number;
  readonly fromX: number;
  readonly fromH: number;
  /** Which part of the peepholes it has. */
  readonly peephole: number | undefined;
  readonly size: number;
}

/** A layer: how large its derivatives are, and where they are. */
export interface LayerPlan {
  readonly direction: Direction;
  /** The address of its block. */
  readonly block: number;
  /** 1: the state is h, 2: h and c. */
  readonly kinds: number;
  readonly gates: readonly Gate[];
  /** Parameters in the order of the columns. */
  readonly lanes: number;
  /** Shape and address of the influence; empty where nothing is carried. */
  readonly influence: readonly number[];
  readonly M: number;
  /** Addresses of the table of columns, and of h and c after the last step; 0 where there is no c. */
  readonly table: number;
  readonly h: number;
  readonly c: number;
}

/** What a layer is laid out from: its number, lines of a panel of its influence, the address of what it reads. */
interface About {
  readonly n: number;
  readonly kinds: number;
  readonly lines: number;
  readonly x: number;
  readonly rule: Rule;
}

/** Bytes of floats up to the next whole vector. */
const row = (floats: number) => 16 * Math.ceil(floats / 4);

const allocator = (builder: Builder, n: number) => (bytes: number, what: string) =>
  bytes ? builder.alloc(bytes, `layer ${n}: ${what}`) : 0;

/** Whether its outputs are a map of its state: the linear recurrent unit. */
export function isLinear({ projection }: Direction): boolean {
  return projection !== undefined && 'segment' in projection;
}

/** The gates that have peepholes, in the order of their packed rows; the last sees c after the step. */
const SEEN = ['i', 'f', 'o'];

/** The layers of a learner. */
export class Network {
  readonly head: Linear;
  readonly layers: readonly LayerPlan[];
  /** Addresses: the block of the learner, where x and the target are written, the prediction. */
  readonly block: number;
  readonly given: number;
  readonly wanted: number;
  readonly output: number;
  /** Blocks by their addresses, until `connect` writes them. */
  readonly #blocks: (readonly [at: number, fields: Fields])[] = [];

  /** Lays out all memory but that of the parameters. */
  constructor(builder: Builder, { own, layers }: OnlineSettings) {
    const { outputSize: O, method } = own;
    const { inputSize } = layers.options;
    let I = inputSize;
    const directions = layers.widths.map((H, n) => {
      const direction = new Direction(builder, layers, (tensor) => `rnn.${tensor}_l${n}`, I, H, 0);
      I = H;
      return direction;
    });
    this.head = new Linear(builder, 'head', { inputSize: I, outputSize: O });
    const ldo = align(4 * O);
    const x = builder.alloc(2 * align(4 * inputSize), 'x');
    this.given = x + align(4 * inputSize);
    this.wanted = builder.alloc(ldo, 'target');
    this.output = builder.alloc(3 * ldo, 'output');
    const kinds = layers.cell.hasC ? 2 : 1;
    const states = layers.widths.map((H) => kinds * H);
    // what SnAp-1 carries of one linear recurrent layer is all of its influence
    const rule = layers.options.cell === 'lru' && method === 'rtrl' ? Rule.snap1 : RULES[method];
    let below = x;
    const list: number[] = [];
    this.layers = directions.map((direction, n) => {
      const lines = states.slice(n).reduce((a, b) => a + b);
      const about = { n, kinds, lines, x: below, rule };
      const [block, plan] = isLinear(direction)
        ? this.#linear(builder, direction, about)
        : this.#layer(builder, direction, about);
      list.push(block);
      below = plan.h;
      return plan;
    });
    const blocks = builder.alloc(4 * list.length, 'layers');
    this.#blocks.push([blocks, list]);
    this.block = builder.alloc(4 * Learn.fields, 'learner');
    this.#blocks.push([
      this.block,
      {
        [Learn.rule]: rule,
        [Learn.target]: TARGETS[own.loss],
        [Learn.layers]: list.length,
        [Learn.blocks]: blocks,
        [Learn.given]: this.given,
        [Learn.wanted]: this.wanted,
        [Learn.O]: O,
        [Learn.output]: this.output,
        [Learn.logits]: this.output + ldo,
        [Learn.dlogits]: this.output + 2 * ldo,
        [Learn.scratch]: rule === Rule.rtrl ? builder.alloc(4 * PANEL * Math.max(...states), 'influence') : 0,
      },
    ]);
  }

  #layer(builder: Builder, direction: Direction, about: About): [block: number, LayerPlan] {
    const { n, kinds, lines, x, rule } = about;
    const { I, H, ldz, ldh, ldextra, settings } = direction;
    const ldc = settings.cell.hasC ? direction.ldc : 0;
    const exact = rule === Rule.rtrl;
    const alloc = allocator(builder, n);
    const gates = gatesOf(direction, rule);
    const count = gates.length * H;
    const lanes = gates.reduce((sum, { size }) => sum + size, 0) * H;
    const panels = Math.ceil(lanes / PANEL);
    const influence = exact ? [panels, lines, PANEL] : rule === Rule.snap1 ? [kinds, lanes] : [];
    const [h, c] = [alloc(2 * ldh, 'h'), alloc(2 * ldc, 'c')];
    const peephole = peepholeOf(direction);
    const peepholes = peephole ? alloc(SEEN.length * ldc, 'peepholes') : 0;
    // what enters the columns; the kernels read up to three floats past the end
    const v = alloc(row(I + H + 2) + row(I + 1) + 32, 'features');
    const table = alloc(4 * count * Column.fields, 'columns');
    const M = influence.length ? alloc(4 * influence.reduce((a, b) => a * b), 'influence') : 0;
    const own = { ...(peephole && { [Seq.own + peephole.gradient]: peepholes }) };
    const seq = this.#step(builder, direction, n, { ...own, [Seq.x]: x, [Seq.h]: h, [Seq.c]: c });
    const block = alloc(4 * Layer.fields, 'derivatives');
    this.#blocks.push([
      block,
      {
        [Layer.seq]: seq,
        [Layer.kinds]: kinds,
        [Layer.I]: I,
        [Layer.H]: H,
        [Layer.ones]: direction.bih ? 1 : 0,
        [Layer.x]: x,
        [Layer.v]: v,
        [Layer.vx]: v + row(I + H + 2) + 16,
        [Layer.z]: alloc(kinds * ldz, 'derivatives'),
        [Layer.h]: alloc(kinds * ldh, 'derivatives'),
        [Layer.c]: alloc(kinds * ldc, 'derivatives'),
        [Layer.extra]: alloc(kinds * ldextra, 'derivatives'),
        [Layer.dh]: alloc(kinds * ldh, 'derivatives'),
        [Layer.dc]: alloc(kinds * ldc, 'derivatives'),
        [Layer.peepholes]: peepholes,
        [Layer.columns]: table,
        [Layer.count]: count,
        [Layer.J]: rule === Rule.immediate ? 0 : alloc(kinds * (exact ? H : 1) * row(H), 'derivatives'),
        [Layer.ldj]: row(H),
        [Layer.X]: exact && n > 0 ? alloc(kinds * H * row(I), 'derivatives') : 0,
        [Layer.ldx]: row(I),
        [Layer.lanes]: lanes,
        [Layer.panels]: panels,
        [Layer.M]: M,
        [Layer.lines]: lines,
        [Layer.g]: alloc(4 * PANEL * panels, 'gradient'),
        [Layer.delta]: alloc(ldh, 'gradient'),
      },
    ]);
    return [block, { direction, block, kinds, gates, lanes, influence, M, table, h: h + ldh, c: c && c + ldc }];
  }

  /** A layer of the linear recurrent unit: assembly/online/lru.ts. */
  #linear(builder: Builder, direction: Direction, { n, x, rule }: About): [block: number, LayerPlan] {
    const { I, H, ldh, ldc, bih, extras } = direction;
    const alloc = allocator(builder, n);
    const [ones, width] = [bih ? 1 : 0, row(I + (bih ? 1 : 0))];
    const influence = rule === Rule.immediate ? [] : [(2 * row(H) + H * width) / 4];
    const M = influence.length ? alloc(4 * influence[0], 'influence') : 0;
    const [h, c] = [alloc(2 * ldh, 'h'), alloc(2 * ldc, 'c')];
    const own = { [Seq.own + extras[0].gradient]: alloc(4 * ldc, 'lambda') };
    const seq = this.#step(builder, direction, n, { ...own, [Seq.x]: x, [Seq.h]: h, [Seq.c]: c });
    const block = alloc(4 * Layer.fields, 'derivatives');
    this.#blocks.push([
      block,
      {
        [Layer.seq]: seq,
        [Layer.kinds]: 2,
        [Layer.I]: I,
        [Layer.H]: H,
        [Layer.ones]: ones,
        [Layer.x]: x,
        [Layer.vx]: alloc(width, 'features'),
        [Layer.dh]: alloc(ldh, 'derivatives'),
        [Layer.dc]: alloc(ldc, 'derivatives'),
        [Layer.M]: M,
        [Layer.g]: alloc(width, 'gradient'),
        [Layer.delta]: alloc(ldh, 'gradient'),
      },
    ]);
    return [block, { direction, block, kinds: 2, gates: [], lanes: 0, influence, M, table: 0, h: h + ldh, c: c + ldc }];
  }

  /** The block of the call of a layer for one step. */
  #step(builder: Builder, { I, fields, ldz, ldextra }: Direction, n: number, own: Fields): number {
    const alloc = allocator(builder, n);
    const seq = alloc(4 * Seq.fields, 'step');
    this.#blocks.push([
      seq,
      {
        ...Array.from(fields),
        ...own,
        [Seq.T]: 1,
        [Seq.B]: 1,
        [Seq.keep]: 1,
        [Seq.chunk]: 1,
        [Seq.ldx]: align(4 * I),
        [Seq.z]: alloc(ldz, 'gates'),
        [Seq.extra]: alloc(ldextra, 'gates'),
      },
    ]);
    return seq;
  }

  /** Writes all blocks, the addresses of parameters among them. */
  connect(model: Model<unknown>): void {
    const { runtime } = model;
    const write = (at: number, fields: Fields) => {
      for (const field in fields) runtime.i32[(at >>> 2) + Number(field)] = fields[field];
    };
    for (const [at, fields] of this.#blocks.splice(0)) write(at, fields);
    const { weight, bias } = this.head.packed();
    write(this.block, {
      [Learn.weight]: weight,
      [Learn.bias]: bias,
      [Learn.headWeight]: this.head.weight.at,
      [Learn.headBias]: this.head.bias?.at ?? 0,
      [Learn.gradients]: model.gradients - model.slab,
    });
    for (const { direction, block, gates, table } of this.layers) {
      const { I, H, wih, whh, whr, bih, bhh, extras, gates: names } = direction;
      if (isLinear(direction)) {
        write(block, {
          [Layer.wx]: wih.at,
          [Layer.bx]: bih?.at ?? 0,
          [Layer.map]: whr?.at ?? 0,
          [Layer.lambda]: extras[0].own.get('lambda')?.at ?? 0,
        });
        continue;
      }
      const [weights] = peepholeOf(direction)?.own.values() ?? [];
      let lane = 0;
      let column = table;
      for (let unit = 0; unit < H; unit++) {
        for (const { z, gates: side, gate, fromX, fromH, peephole, size } of gates) {
          const place = gate * H + unit;
          write(column, {
            [Column.z]: z + 16 * Math.floor(unit / 4) * side + 4 * (unit % 4),
            [Column.unit]: unit,
            [Column.lane]: lane,
            [Column.fromX]: fromX,
            [Column.fromH]: fromH,
            [Column.wx]: fromX && wih.at + 4 * place * I,
            [Column.wh]: fromH && whh ? whh.at + 4 * place * H : 0,
            [Column.bx]: fromX && bih ? bih.at + 4 * place : 0,
            [Column.bh]: fromH && bhh ? bhh.at + 4 * place : 0,
            [Column.peephole]: weights && peephole !== undefined ? weights.at + 4 * (peephole * H + unit) : 0,
            [Column.after]: names[gate] === 'o' ? 1 : 0,
          });
          lane += size;
          column += 4 * Column.fields;
        }
      }
    }
  }

  /** Packs the weights of all layers again, if they have changed. */
  pack(): void {
    for (const { direction } of this.layers) direction.packed();
    this.head.packed();
  }
}

function peepholeOf({ extras }: Direction): OwnExtra | undefined {
  return extras.find(({ parameters }) => parameters.some(({ name }) => name === 'weight_peephole'));
}

/** The gates of a layer. With `snap1` and `immediate` each column begins at a multiple of four. */
function gatesOf(direction: Direction, rule: Rule): Gate[] {
  const { parts, I, H, gates: names, bih } = direction;
  const peepholes = peepholeOf(direction)?.rows;
  return parts.flatMap(({ first, gates, x, h, z }) =>
    Array.from({ length: gates }, (_, g): Gate => {
      const gate = first + g;
      const place = peepholes?.[SEEN.indexOf(names[gate])];
      const peephole = Array.isArray(place) ? Number(place[1]) : undefined;
      const [fromX, fromH] = [x ? I : 0, h ? H : 0];
      const size = fromX + fromH + (bih ? 1 : 0) + (peephole === undefined ? 0 : 1);
      const lanes = rule === Rule.rtrl ? size : 4 * Math.ceil(size / 4);
      return { z: z + 16 * g, gates, gate, fromX, fromH, peephole, size: lanes };
    }),
  );
}
