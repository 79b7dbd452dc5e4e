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

/** `text` with `content` between the markers `<!-- name -->` and `<!-- /name -->`. */
export function between(text: string, name: string, content: string): string {
  const [open, close] = [`<!-- ${name} -->`, `<!-- /${name} -->`];
  const from = text.indexOf(open);
  const to = text.indexOf(close);
  if (from < 0 || to < from) throw new Error(`expected ${open} and ${close}, one after the other`);
  return `${text.slice(0, from + open.length)}\n${content}\n${text.slice(to)}`;
}
