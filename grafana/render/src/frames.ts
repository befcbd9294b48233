// Prometheus' answers as Grafana's data frames, the way its Prometheus data source makes them.

import { FieldType, type DataFrame, type Field } from '@grafana/data';

import type { Answer, Page, Panel, Series } from './job';

const number = (text: string): number | null => {
  const value = Number(text.replace('+Inf', 'Infinity').replace('-Inf', '-Infinity'));
  return Number.isNaN(value) ? null : value;
};

/** What a series is called: `{{label}}` replaced, or its labels. */
export function legend(format: string, metric: Record<string, string>): string {
  if (format === '__auto') {
    return Object.entries(metric).map(([name, value]) => `${name}="${value}"`).join(', ') || 'Value';
  }
  return format.replace(/\{\{\s*(.+?)\s*\}\}/g, (_, label: string) => metric[label] ?? '').trim();
}

const field = (name: string, type: FieldType, values: unknown[], more: Partial<Field> = {}): Field => ({
  name, type, values, config: {}, ...more,
});

/** A point for each step, null where there is none: a line has a gap there. */
function onGrid(series: Series, page: Page): { times: number[]; values: Array<number | null> } {
  const known = new Map(series.values.map(([time, value]) => [Math.round(time * 1000), number(value)]));
  const times: number[] = [];
  for (let time = page.start; time <= page.end; time += page.step) {
    times.push(Math.round(time * 1000));
  }
  return { times, values: times.map((time) => known.get(time) ?? null) };
}

function lines(answer: Answer, panel: Panel, page: Page): DataFrame[] {
  const format = panel.targets.find((target) => target.refId === answer.ref_id)?.legendFormat ?? '__auto';
  return answer.series.map((series) => {
    const { times, values } = answer.instant
      ? { times: series.values.map(([time]) => time * 1000), values: series.values.map(([, value]) => number(value)) }
      : onGrid(series, page);
    const config = { displayNameFromDS: legend(format, series.metric) };
    return {
      refId: answer.ref_id,
      length: times.length,
      fields: [
        field('Time', FieldType.time, times),
        field('Value', FieldType.number, values, { labels: series.metric, config }),
      ],
    };
  });
}

function table(answer: Answer, several: boolean): DataFrame {
  const labels = [...new Set(answer.series.flatMap((series) => Object.keys(series.metric)))].sort();
  const last = (series: Series) => series.values[series.values.length - 1];
  const value = several ? `Value #${answer.ref_id}` : 'Value';
  return {
    refId: answer.ref_id,
    length: answer.series.length,
    fields: [
      field('Time', FieldType.time, answer.series.map((series) => (last(series)?.[0] ?? 0) * 1000)),
      ...labels.map((label) => field(label, FieldType.string, answer.series.map((series) => series.metric[label] ?? ''))),
      field(value, FieldType.number, answer.series.map((series) => number(last(series)?.[1] ?? 'NaN'))),
    ],
  };
}

/** The buckets of a heat map: cumulative ones made single, in the order of their bounds. */
function buckets(answer: Answer, page: Page): DataFrame {
  const bound = (series: Series) => number(series.metric['le'] ?? '') ?? Infinity;
  const sorted = [...answer.series].sort((a, b) => bound(a) - bound(b));
  const grids = sorted.map((series) => onGrid(series, page));
  return {
    refId: answer.ref_id,
    length: grids[0]?.times.length ?? 0,
    fields: [
      field('Time', FieldType.time, grids[0]?.times ?? []),
      ...sorted.map((series, index) => {
        const below = grids[index - 1]?.values;
        const values = (grids[index]?.values ?? []).map((value, at) =>
          value === null ? null : Math.max(0, value - (below?.[at] ?? 0)),
        );
        return field(series.metric['le'] ?? '', FieldType.number, values);
      }),
    ],
  };
}

/** The frames of a panel, before transformations and field configuration. */
export function frames(panel: Panel, page: Page): DataFrame[] {
  const answers = page.answers.filter((answer) => answer.panel_id === panel.id && answer.series.length > 0);
  switch (panel.type) {
    case 'table':
      return answers.map((answer) => table(answer, panel.targets.length > 1));
    case 'heatmap':
      return answers.map((answer) => buckets(answer, page));
    default:
      return answers.flatMap((answer) => lines(answer, panel, page));
  }
}
