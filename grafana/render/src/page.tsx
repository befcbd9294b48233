// The page: a dashboard with its panels at their places.

import { applyFieldOverrides, cacheFieldDisplayNames, createTheme, FieldType, ThemeContext, transformDataFrame, type DataFrame } from '@grafana/data';
import { GlobalStyles, PanelChrome } from '@grafana/ui';
import { Component, type ReactNode } from 'react';
import { createRoot } from 'react-dom/client';
import { firstValueFrom } from 'rxjs';

import 'uplot/dist/uPlot.min.css';

import { Chart } from './charts';
import { frames } from './frames';
import { heightOf, place, WIDTH } from './grid';
import type { Drawn, Page, Panel } from './job';
import { fields } from './setup';

const theme = createTheme({ colors: { mode: 'dark' } });

interface Ready {
  panel: Panel;
  frames: DataFrame[];
  drawn: Drawn;
}

async function ready(panel: Panel, page: Page): Promise<Ready> {
  const drawn: Drawn = { id: panel.id, title: panel.title, series: 0, error: '' };
  try {
    let data = frames(panel, page);
    if (panel.transformations.length > 0 && data.length > 0) {
      data = await firstValueFrom(transformDataFrame(panel.transformations, data));
    }
    data = applyFieldOverrides({
      data,
      fieldConfig: panel.fieldConfig as any,
      replaceVariables: (text) => text,
      theme,
      timeZone: 'utc',
      fieldConfigRegistry: fields,
    });
    cacheFieldDisplayNames(data);
    const hasValue = (values: unknown[]) => values.some((value) => typeof value === 'number' && Number.isFinite(value));
    const numbers = data.flatMap((frame) => frame.fields.filter((field) => field.type === FieldType.number && hasValue(field.values)));
    drawn.series = panel.type === 'table' ? data[0]?.length ?? 0 : numbers.length;
    for (const answer of page.answers.filter((answer) => answer.panel_id === panel.id && answer.may_be_empty === null)) {
      if (!answer.series.some((series) => series.values.some(([, value]) => Number.isFinite(Number(value))))) {
        drawn.error = `query ${answer.ref_id} has no data`;
      }
    }
    return { panel, frames: data, drawn };
  } catch (error) {
    drawn.error = String(error);
    return { panel, frames: [], drawn };
  }
}

/** One panel that cannot be drawn must not take the others with it. */
class Guard extends Component<{ drawn: Drawn; children: ReactNode }, { failed: boolean }> {
  state = { failed: false };
  static getDerivedStateFromError() {
    return { failed: true };
  }
  componentDidCatch(error: unknown) {
    this.props.drawn.error = String(error);
  }
  render() {
    return this.state.failed ? <div style={{ color: theme.colors.error.text }}>{this.props.drawn.error}</div> : this.props.children;
  }
}

function Board({ page, panels }: { page: Page; panels: Ready[] }) {
  const clock = (seconds: number) => new Date(seconds * 1000).toISOString().slice(0, 16).replace('T', ' ');
  return (
    <div style={{ position: 'relative', width: WIDTH, height: heightOf(panels.map(({ panel }) => panel)), background: theme.colors.background.canvas, color: theme.colors.text.primary, fontFamily: theme.typography.fontFamily }}>
      <div style={{ position: 'absolute', left: 16, top: 12, right: 16, display: 'flex', justifyContent: 'space-between' }}>
        <span style={{ fontSize: 22, fontWeight: 500 }}>{page.dashboard.title}</span>
        <span style={{ fontSize: 14, color: theme.colors.text.secondary }}>{`${clock(page.start)} to ${clock(page.end)} UTC`}</span>
      </div>
      {panels.map(({ panel, frames, drawn }) => {
        const { left, top, width, height } = place(panel);
        const body =
          panel.type === 'row' ? (
            <div style={{ fontSize: 16, fontWeight: 500, paddingTop: 6 }}>⌄ {panel.title}</div>
          ) : (
            <Guard drawn={drawn}>
              <PanelChrome title={panel.title} description={panel.description} width={width} height={height} padding={panel.type === 'table' ? 'none' : 'md'}>
                {(innerWidth, innerHeight) => <Chart panel={panel} frames={frames} page={page} theme={theme} width={innerWidth} height={innerHeight} />}
              </PanelChrome>
            </Guard>
          );
        return (
          <div key={panel.id} data-panel={panel.id} style={{ position: 'absolute', left, top, width, height }}>
            {body}
          </div>
        );
      })}
    </div>
  );
}

/** Whether anything but the axes can be seen of a line chart: some pixel of a colour that is no grey. */
function hasColour(canvas: HTMLCanvasElement): boolean {
  const pixels = canvas.getContext('2d')?.getImageData(0, 0, canvas.width, canvas.height).data ?? new Uint8ClampedArray();
  for (let at = 0; at + 3 < pixels.length; at += 4) {
    const [red = 0, green = 0, blue = 0, alpha = 0] = pixels.slice(at, at + 4);
    if (alpha > 100 && Math.max(red, green, blue) - Math.min(red, green, blue) > 60) {
      return true;
    }
  }
  return false;
}

async function drawDashboard(page: Page): Promise<Drawn[]> {
  const panels = await Promise.all((page.dashboard.panels as unknown as Panel[]).map((panel) =>
    panel.type === 'row' ? { panel, frames: [], drawn: { id: panel.id, title: panel.title, series: 0, error: '' } } : ready(panel, page),
  ));
  const root = document.getElementById('root')!;
  createRoot(root).render(
    <ThemeContext.Provider value={theme}>
      <GlobalStyles />
      <Board page={page} panels={panels} />
    </ThemeContext.Provider>,
  );
  // Charts measure themselves, then draw on the next frames.
  await document.fonts.ready;
  for (let frame = 0; frame < 20; frame++) {
    await new Promise((resolve) => requestAnimationFrame(resolve));
  }
  const drawn = panels.filter(({ panel }) => panel.type !== 'row');
  for (const { panel, drawn: result } of drawn) {
    const place = root.querySelector(`[data-panel="${panel.id}"]`);
    if (result.error === '' && result.series > 0 && panel.type === 'timeseries') {
      const canvas = place?.querySelector('canvas');
      if (!canvas || !hasColour(canvas)) {
        result.error = 'nothing was drawn';
      }
    } else if (result.error === '' && result.series > 0 && panel.type === 'table') {
      // The heading and a row, and not only in the document.
      if ((place?.querySelector('[role=grid]')?.getBoundingClientRect().height ?? 0) < 60) {
        result.error = 'nothing was drawn';
      }
    } else if (result.error === '' && !place?.textContent?.trim()) {
      result.error = 'nothing was drawn';
    }
  }
  return drawn.map(({ drawn }) => drawn);
}

(globalThis as any).drawDashboard = drawDashboard;
