/**
 * The share of bindings/ that ran, from what V8 wrote to a folder (NODE_V8_COVERAGE). Tests run the bundles of dist and the single files of
 * dist/bindings; the source maps of both lead to the same lines of TypeScript.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { mergeProcessCovs } from '@bcoe/v8-coverage';
import istanbul from 'istanbul-lib-coverage';
import toIstanbul from 'v8-to-istanbul';

const root = resolve(dirname(fileURLToPath(import.meta.url)), '..');
const own = (url) => url.startsWith(`file://${root}/dist/`) && !url.includes('/wasm/');

/** Percent of lines, branches and functions, and the files with the fewest lines covered. */
export async function coverage(folder) {
  const processes = readdirSync(folder).map((name) => {
    const { result } = JSON.parse(readFileSync(join(folder, name), 'utf8'));
    return { result: result.filter(({ url }) => own(url)) };
  });
  const all = istanbul.createCoverageMap();
  for (const { url, functions } of mergeProcessCovs(processes).result) {
    // the command line has no map, and is not part of bindings/
    if (!existsSync(`${fileURLToPath(url)}.map`)) continue;
    const path = fileURLToPath(url);
    const sourcemap = JSON.parse(readFileSync(`${path}.map`, 'utf8'));
    sourcemap.sourcesContent = sourcemap.sources.map((source) => readFileSync(join(dirname(path), source), 'utf8'));
    const converter = toIstanbul(path, 0, { source: readFileSync(path, 'utf8'), sourceMap: { sourcemap } });
    await converter.load();
    converter.applyCoverage(functions);
    all.merge(converter.toIstanbul());
  }
  all.filter((file) => file.startsWith(join(root, 'bindings')));
  const { lines, branches, functions } = all.getCoverageSummary();
  const files = all
    .files()
    .map((file) => ({ file: file.slice(root.length + 1), percent: all.fileCoverageFor(file).toSummary().lines.pct }))
    .sort((a, b) => a.percent - b.percent);
  return { lines: lines.pct, branches: branches.pct, functions: functions.pct, files };
}
