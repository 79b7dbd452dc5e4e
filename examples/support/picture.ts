/** Charts: described in Vega-Lite, drawn by Vega in Node or in a page. */
import { parse, View } from 'vega';
import { compile, type TopLevelSpec } from 'vega-lite';

/** A chart as SVG, on white, so that it is readable on any page. */
export async function svgOf(chart: TopLevelSpec): Promise<string> {
  const view = new View(parse(compile({ background: 'white', ...chart } as TopLevelSpec).spec), { renderer: 'none' });
  const svg = await view.toSVG();
  view.finalize();
  return svg;
}
