/** The tables of docs/peers.md. */

/** What `npm run peers -- --json` prints. */
export interface PeerRow {
  readonly id: string;
  readonly peer: string;
  /** Whether it is native code, which no page runs. */
  readonly native: boolean;
  /** Milliseconds; null if it was not timed. */
  readonly ms: number | null;
  /** The time over that of gatewise simd in the same round: above 1 if the peer is slower. */
  readonly ratio: number | null;
  /** KiB. */
  readonly maxRss: number | null;
  readonly engine: string;
  readonly note: string;
}

const OWN = /^gatewise/;

function milliseconds(ms: number): string {
  return ms < 1 ? ms.toFixed(4) : ms < 100 ? ms.toFixed(2) : ms.toFixed(0);
}

function cell(row: PeerRow | undefined): string {
  if (row === undefined || row.ms === null) return '–';
  // gatewise simd is what the others are divided by
  const ratio = row.ratio === null || row.peer === 'gatewise simd' ? '' : ` (${row.ratio})`;
  return `${milliseconds(row.ms)}${ratio}`;
}

/** One table: a line for each workload, a column for each peer; below it the notes. */
function table(rows: readonly PeerRow[]): string {
  const ids = [...new Set(rows.map(({ id }) => id))];
  // it serves as the divisor of peers whose GRU resets before the product
  const peers = [...new Set(rows.map(({ peer }) => peer))].filter((peer) => peer !== 'gatewise simd, reset before');
  const lines = [
    `| workload | ${peers.join(' | ')} |`,
    `|---|${peers.map(() => '---|').join('')}`,
    ...ids.map((id) => {
      const cells = peers.map((peer) => cell(rows.find((row) => row.id === id && row.peer === peer)));
      return `| \`${id}\` | ${cells.join(' | ')} |`;
    }),
  ];
  const notes = new Map<string, string[]>();
  for (const { id, peer, note } of rows) {
    if (note === '') continue;
    const key = `${peer}: ${note}`;
    notes.set(key, [...(notes.get(key) ?? []), id]);
  }
  const list = [...notes].map(([note, of]) => `- ${note} (${of.length === ids.length ? 'all' : of.join(', ')})`);
  return [...lines, ...(list.length ? ['', ...list] : [])].join('\n');
}

export interface About {
  /** Date, processor and engine. */
  readonly machine: string;
  /** Names and versions of the peers. */
  readonly versions: readonly string[];
  readonly rounds: number;
}

/** Both tables with what they were measured on, in Markdown. */
export function tables(rows: readonly PeerRow[], { machine, versions, rounds }: About): string {
  const own = rows.filter(({ peer }) => OWN.test(peer));
  const of = (native: boolean) => rows.filter((row) => !OWN.test(row.peer) && row.native === native);
  return [
    `Measured on: ${machine}. Medians of ${rounds} rounds. ${versions.join(', ')}.`,
    '### Peers that run in a browser',
    table([...own, ...of(false)]),
    '### Native peers',
    table([...own, ...of(true)]),
  ].join('\n\n');
}

/** What `npm run bench:workers -- --json` prints. */
export interface WorkersRow {
  readonly id: string;
  /** `alone`, a number of workers, or a peer. */
  readonly who: string;
  /** Milliseconds of a step, the median. */
  readonly ms: number;
  /** The median alone, divided by this one: above 1 if it is faster. */
  readonly ratio: number;
}

/** Versions as a sentence that follows another one. */
const named = (versions: readonly string[]) => (versions.length ? ` ${versions.join(', ')}.` : '');

/** Training steps against workers, with what they were measured on. */
export function workersTable(
  rows: readonly WorkersRow[],
  { machine, versions, rounds, cores }: About & { readonly cores: number },
): string {
  const ids = [...new Set(rows.map(({ id }) => id))];
  const all = [...new Set(rows.map(({ who }) => who))];
  const of = (id: string, who: string) => rows.find((row) => row.id === id && row.who === who);
  const name = (who: string) => (/^\d+$/.test(who) ? `${who} worker${who === '1' ? '' : 's'}` : who);
  const faster = (row: WorkersRow | undefined) =>
    row === undefined ? '–' : `${milliseconds(row.ms)}${row.who === 'alone' ? '' : ` (${row.ratio.toFixed(2)})`}`;
  const peer = all.filter((who) => who.startsWith('PyTorch')).at(-1);
  const team = all.filter((who) => /^[1-9]\d*$/.test(who)).at(-1);
  const last = peer && team ? [`${peer} / ${name(team)}`] : [];
  const quotient = (id: string) => {
    const [theirs, ours] = [of(id, peer ?? ''), of(id, team ?? '')];
    return theirs && ours ? (theirs.ms / ours.ms).toFixed(2) : '–';
  };
  return [
    `Measured on: ${machine}, ${cores} cores. Wall time of a training step in ms, medians of ${rounds} rounds in turns.${named(versions)}`,
    'In brackets: the median alone divided by this one, above 1 if it is faster. The last column is above 1 where gatewise is faster.',
    [
      `| workload | ${[...all.map(name), ...last].join(' | ')} |`,
      `|---|${[...all, ...last].map(() => '---|').join('')}`,
      ...ids.map((id) => {
        const cells = [...all.map((who) => faster(of(id, who))), ...last.map(() => quotient(id))];
        return `| \`${id}\` | ${cells.join(' | ')} |`;
      }),
    ].join('\n'),
  ].join('\n\n');
}

/** The peers of the quantized layers: `gatewise simd` is what the others are compared with. */
export function quantizedTable(rows: readonly PeerRow[], { machine, versions, rounds }: About): string {
  const ids = [...new Set(rows.map(({ id }) => id))];
  const peers = [...new Set(rows.map(({ peer }) => peer))];
  const of = (id: string, peer: string) => rows.find((row) => row.id === id && row.peer === peer)?.ms ?? null;
  const times = (id: string, slow: string, fast: string) => {
    const [a, b] = [of(id, slow), of(id, fast)];
    return a === null || b === null ? '–' : (a / b).toFixed(2);
  };
  const INT = 'gatewise int16';
  const native = 'onnxruntime-node';
  const lines = ids.map((id) => {
    const cells = peers.map((peer) => {
      const ms = of(id, peer);
      if (ms === null) return '–';
      return `${milliseconds(ms)}${peer === 'gatewise simd' ? '' : ` (${times(id, 'gatewise simd', peer)})`}`;
    });
    return `| \`${id}\` | ${[...cells, times(id, native, INT), times(id, 'gatewise relaxed', INT)].join(' | ')} |`;
  });
  const notes = [...new Set(rows.filter(({ note }) => note).map(({ id, peer, note }) => `- ${peer}: ${note} (${id})`))];
  return [
    `Measured on: ${machine}. Milliseconds of processor, medians of ${rounds} rounds in turns, one thread each.${named(versions)}`,
    'In brackets: how many times as fast as float32 simd. The last two columns divide by the time of int16: above 1, int16 is faster.',
    [
      `| workload | ${peers.join(' | ')} | ${native} / int16 | relaxed / int16 |`,
      `|---|${peers.map(() => '---|').join('')}---|---|`,
      ...lines,
    ].join('\n'),
    ...(notes.length ? [notes.join('\n')] : []),
  ].join('\n\n');
}

/** `text` with `content` between the markers `<!-- name -->` and `<!-- /name -->`. */
export function between(text: string, name: string, content: string): string {
  const [open, close] = [`<!-- ${name} -->`, `<!-- /${name} -->`];
  const from = text.indexOf(open);
  const to = text.indexOf(close);
  if (from < 0 || to < from) throw new Error(`expected ${open} and ${close}, one after the other`);
  return `${text.slice(0, from + open.length)}\n${content}\n${text.slice(to)}`;
}
