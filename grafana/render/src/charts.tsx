// A panel's chart, with Grafana's own components where it has some in a package.

import {
  getDisplayValueAlignmentFactors,
  getFieldDisplayValues,
  dateTime,
  VizOrientation,
  type DataFrame,
  type FieldDisplay,
  type GrafanaTheme2,
  type TimeRange,
} from '@grafana/data';
import { BarGauge, BigValue, TimeSeries, VizRepeater } from '@grafana/ui';
import { TableNG } from '@grafana/ui/unstable';

import type { Page, Panel } from './job';
import { Dials, HeatMap, Pie } from './own';

export interface ChartProps {
  panel: Panel;
  frames: DataFrame[];
  page: Page;
  theme: GrafanaTheme2;
  width: number;
  height: number;
}

function range(page: Page): TimeRange {
  const [from, to] = [dateTime(page.start * 1000), dateTime(page.end * 1000)];
  return { from, to, raw: { from, to } };
}

/** The one value of each series. */
export function reduced({ panel, frames, theme }: Pick<ChartProps, 'panel' | 'frames' | 'theme'>, sparkline = false): FieldDisplay[] {
  return getFieldDisplayValues({
    fieldConfig: panel.fieldConfig as any,
    reduceOptions: panel.options.reduceOptions,
    replaceVariables: (text) => text,
    theme,
    data: frames,
    sparkline,
    timeZone: 'utc',
  });
}

/** As Grafana: where nothing came, the text for that. */
function Nothing({ panel, theme, width, height }: ChartProps) {
  const text = panel.fieldConfig.defaults.noValue ?? 'No data';
  return (
    <div style={{ width, height, display: 'flex', alignItems: 'center', justifyContent: 'center', color: theme.colors.text.secondary }}>{text}</div>
  );
}

export function Chart(props: ChartProps) {
  const { panel, frames, page, theme, width, height } = props;
  if (frames.every((frame) => frame.length === 0)) {
    return <Nothing {...props} />;
  }
  const orientation = (panel.options.orientation ?? VizOrientation.Auto) as VizOrientation;
  switch (panel.type) {
    case 'timeseries':
      return (
        <TimeSeries frames={frames} width={width} height={height} timeRange={range(page)} timeZone="utc" legend={panel.options.legend} options={panel.options} />
      );
    case 'stat':
      return (
        <VizRepeater
          getValues={() => reduced(props, panel.options.graphMode !== 'none')}
          getAlignmentFactors={getDisplayValueAlignmentFactors}
          renderValue={({ value, width, height, alignmentFactors, count }) => (
            <BigValue
              value={value.display}
              sparkline={value.sparkline}
              count={count}
              colorMode={panel.options.colorMode}
              graphMode={panel.options.graphMode}
              justifyMode={panel.options.justifyMode}
              textMode={panel.options.textMode}
              alignmentFactors={alignmentFactors}
              width={width}
              height={height}
              theme={theme}
            />
          )}
          width={width}
          height={height}
          source={frames}
          renderCounter={0}
          autoGrid
          orientation={orientation}
        />
      );
    case 'bargauge':
      return (
        <VizRepeater
          getValues={() => reduced(props)}
          getAlignmentFactors={getDisplayValueAlignmentFactors}
          renderValue={({ value, width, height, alignmentFactors }) => (
            <BarGauge
              value={value.display}
              field={value.field}
              display={value.view?.getFieldDisplayProcessor(value.colIndex ?? 0)}
              width={width}
              height={height}
              orientation={orientation}
              displayMode={panel.options.displayMode}
              valueDisplayMode={panel.options.valueMode}
              namePlacement={panel.options.namePlacement}
              showUnfilled={panel.options.showUnfilled}
              alignmentFactors={alignmentFactors}
              theme={theme}
            />
          )}
          width={width}
          height={height}
          source={frames}
          renderCounter={0}
          orientation={orientation}
          minVizHeight={panel.options.minVizHeight}
          maxVizHeight={panel.options.maxVizHeight}
        />
      );
    case 'table':
      return (
        <div style={{ display: 'flex', width, height }}>
          <TableNG
            data={frames[0]!}
            width={width}
            height={height}
            sortBy={panel.options.sortBy}
            cellHeight={panel.options.cellHeight}
            structureRev={1}
            enableVirtualization={false}
          />
        </div>
      );
    case 'gauge':
      return <Dials values={reduced(props)} width={width} height={height} theme={theme} />;
    case 'piechart':
      return <Pie values={reduced(props)} width={width} height={height} theme={theme} />;
    case 'heatmap':
      return <HeatMap frame={frames[0]!} unit={panel.options.yAxis?.unit ?? 'short'} width={width} height={height} theme={theme} />;
    default:
      throw new Error(`no way to draw a panel of the type ${panel.type}`);
  }
}
