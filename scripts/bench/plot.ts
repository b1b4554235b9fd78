/**
 * Line charts as SVG, small multiples with one scale of x: axes with units, lines that bear their names. Legible on
 * light and dark pages.
 */

export interface Line {
  /** Written at the line's end; lines alone in their panel need none. */
  readonly name: string;
  readonly points: readonly (readonly [x: number, y: number])[];
}

export interface Panel {
  readonly title: string;
  /** What y is, with its unit. */
  readonly y: string;
  readonly lines: readonly Line[];
}

export interface Chart {
  /** Read out instead of the picture. */
  readonly description: string;
  /** What x is, and where its axis has marks. */
  readonly x: string;
  readonly marks: readonly number[];
  readonly panels: readonly Panel[];
}

const COLUMNS = 3;
const PANEL = { width: 300, height: 230 };
/** The plotted area within a panel. */
const AREA = { left: 46, right: 214, top: 46, bottom: 184 };

const STYLE = `
  text { font: 12px system-ui, sans-serif; fill: #1f2328 }
  .title { font-weight: 600 } .small { font-size: 11px; fill: #59636e }
  .page { fill: #ffffff } .grid { stroke: #d1d9e0 } .axis { stroke: #59636e }
  path { fill: none; stroke-width: 2 }
  .line0 { stroke: #0969da } .name0, .dot0 { fill: #0969da }
  .line1 { stroke: #bc4c00 } .name1, .dot1 { fill: #bc4c00 }
  .line2 { stroke: #8250df } .name2, .dot2 { fill: #8250df }
  @media (prefers-color-scheme: dark) {
    text { fill: #f0f6fc } .small { fill: #9198a1 }
    .page { fill: #0d1117 } .grid { stroke: #3d444d } .axis { stroke: #9198a1 }
    .line0 { stroke: #58a6ff } .name0, .dot0 { fill: #58a6ff }
    .line1 { stroke: #f0883e } .name1, .dot1 { fill: #f0883e }
    .line2 { stroke: #bc8cff } .name2, .dot2 { fill: #bc8cff }
  }`;

const escaped = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');

const at = (value: number): string => `${Number(value.toFixed(1))}`;

const label = (x: number, y: number, text: string, kind = '', anchor = 'start'): string =>
  `<text x="${at(x)}" y="${at(y)}" class="${kind}" text-anchor="${anchor}">${escaped(text)}</text>`;

/** Marks from 0 to `most` or a little above, in steps of 1, 2 or 5: five of them at most. */
function scaleTo(most: number): number[] {
  const rough = most / 4;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * ([1, 2, 5].find((round) => round * power >= rough) ?? 10);
  return Array.from({ length: Math.ceil(most / step) + 1 }, (_, k) => Number((k * step).toPrecision(3)));
}

/** Moves labels apart that would cover one another, downwards; their order stays. */
function apart(heights: readonly number[]): number[] {
  const order = heights.map((_, i) => i).sort((i, j) => heights[i]! - heights[j]!);
  const moved = [...heights];
  order.forEach((i, k) => {
    const above = moved[order[k - 1] ?? -1];
    if (above !== undefined) moved[i] = Math.max(moved[i]!, above + 14);
  });
  return moved;
}

function panelOf({ title, y, lines }: Panel, x: string, marks: readonly number[]): string {
  const scale = scaleTo(Math.max(...lines.flatMap(({ points }) => points.map(([, value]) => value))));
  const [top, lastMark] = [scale.at(-1)!, marks.at(-1)!];
  const across = (value: number) => AREA.left + (value / lastMark) * (AREA.right - AREA.left);
  const up = (value: number) => AREA.bottom - (value / top) * (AREA.bottom - AREA.top);

  const grid = scale.map((value) => {
    const kind = value === 0 ? 'axis' : 'grid';
    const rule = `<line x1="${AREA.left}" x2="${AREA.right}" y1="${at(up(value))}" y2="${at(up(value))}" class="${kind}"/>`;
    return rule + label(AREA.left - 6, up(value) + 4, `${value}`, 'small', 'end');
  });
  const below = marks.map((mark) => label(across(mark), AREA.bottom + 16, `${mark}`, 'small', 'middle'));
  const names = apart(lines.map(({ points }) => up(points.at(-1)![1]) + 4));
  const drawn = lines.map(({ name, points }, i) => {
    const path = points
      .map(([px, py], k) => `${k === 0 ? 'M' : 'L'}${at(across(px))} ${at(up(py))}`)
      .join('');
    const dots = points.map(
      ([px, py]) => `<circle cx="${at(across(px))}" cy="${at(up(py))}" r="2.5" class="dot${i}"/>`,
    );
    return [
      `<path d="${path}" class="line${i}"/>`,
      ...dots,
      label(across(points.at(-1)![0]) + 8, names[i]!, name, `name${i}`),
    ];
  });
  return [
    label(AREA.left - 30, 18, title, 'title'),
    label(AREA.left - 30, 34, y, 'small'),
    ...grid,
    ...below,
    label((AREA.left + AREA.right) / 2, AREA.bottom + 34, x, 'small', 'middle'),
    ...drawn.flat(),
  ].join('\n');
}

/** The chart as the text of an SVG file. */
export function svgOf({ description, x, marks, panels }: Chart): string {
  const columns = Math.min(COLUMNS, panels.length);
  const [width, height] = [columns * PANEL.width, Math.ceil(panels.length / columns) * PANEL.height];
  const placed = panels.map((panel, i) => {
    const [left, above] = [(i % columns) * PANEL.width, Math.floor(i / columns) * PANEL.height];
    return `<g transform="translate(${left} ${above})">\n${panelOf(panel, x, marks)}\n</g>`;
  });
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img">`,
    `<title>${escaped(description)}</title>`,
    `<style>${STYLE}\n</style>`,
    `<rect width="${width}" height="${height}" rx="6" class="page"/>`,
    ...placed,
    '</svg>\n',
  ].join('\n');
}
