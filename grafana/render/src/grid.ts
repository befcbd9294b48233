// Grafana's grid: 24 columns, and units of 30 pixels with 8 between them.

import type { Panel } from './job';

export const WIDTH = 1600;

const [COLUMNS, UNIT, GAP, HEAD] = [24, 30, 8, 56];

/** Where a panel is, in pixels. */
export function place(panel: Panel): { left: number; top: number; width: number; height: number } {
  const column = (WIDTH - GAP) / COLUMNS;
  const { x, y, w, h } = panel.gridPos;
  return {
    left: GAP + x * column,
    top: HEAD + y * (UNIT + GAP),
    width: w * column - GAP,
    height: h * (UNIT + GAP) - GAP,
  };
}

/** The height of a dashboard with these panels, in pixels. */
export function heightOf(panels: Panel[]): number {
  return Math.max(...panels.map((panel) => place(panel).top + place(panel).height)) + GAP;
}
