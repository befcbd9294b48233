// Panels whose component is part of Grafana and of no package: dial, pie, heat map. Drawn here from the same field
// configuration, and marked as such.

import { type DataFrame, type FieldDisplay, formattedValueToString, type GrafanaTheme2, getValueFormat } from '@grafana/data';
import type { ReactNode } from 'react';

interface Size {
  width: number;
  height: number;
  theme: GrafanaTheme2;
}

export function Note({ children, theme }: { children: ReactNode; theme: GrafanaTheme2 }) {
  return (
    <div style={{ position: 'absolute', right: 4, top: -14, fontSize: 10, color: theme.colors.text.disabled }}>{children}</div>
  );
}

const OWN = 'drawn here; Grafana has its own';

const point = (cx: number, cy: number, radius: number, turn: number): string =>
  `${cx + radius * Math.cos(turn)} ${cy + radius * Math.sin(turn)}`;

function arc(cx: number, cy: number, radius: number, from: number, to: number): string {
  const end = Math.min(to, from + Math.PI * 1.9999);
  return `M ${point(cx, cy, radius, from)} A ${radius} ${radius} 0 ${end - from > Math.PI ? 1 : 0} 1 ${point(cx, cy, radius, end)}`;
}

/** A dial with the thresholds on its rim. */
export function Dials({ values, width, height, theme }: Size & { values: FieldDisplay[] }) {
  const each = width / Math.max(1, values.length);
  return (
    <div style={{ display: 'flex', position: 'relative', width, height }}>
      {values.map((value, index) => (
        <Dial key={index} value={value} width={each} height={height} theme={theme} />
      ))}
      <Note theme={theme}>{OWN}</Note>
    </div>
  );
}

function Dial({ value, width, height, theme }: Size & { value: FieldDisplay }) {
  // The rim is a quarter further out.
  const radius = Math.max(10, Math.min(width / 2.6, height / 2.6));
  const [cx, cy] = [width / 2, height / 2];
  const [start, sweep] = [Math.PI * 0.8, Math.PI * 1.4];
  const [min, max] = [value.field.min ?? 0, value.field.max ?? 1];
  const share = (number: number) => Math.min(1, Math.max(0, (number - min) / (max - min)));
  const at = (number: number) => start + sweep * share(number);
  const steps = value.field.thresholds?.steps ?? [];
  const shown = formattedValueToString(value.display);
  return (
    <svg width={width} height={height}>
      <path d={arc(cx, cy, radius, start, start + sweep)} stroke={theme.colors.background.secondary} strokeWidth={radius * 0.28} fill="none" />
      {Number.isFinite(value.display.numeric) && (
        <path d={arc(cx, cy, radius, start, Math.max(start + 0.02, at(value.display.numeric)))} stroke={value.display.color} strokeWidth={radius * 0.28} fill="none" />
      )}
      {steps.map((step, index) => {
        const from = index === 0 ? min : (step.value ?? min);
        const to = steps[index + 1]?.value ?? max;
        return from >= max ? null : (
          <path key={index} d={arc(cx, cy, radius * 1.21, at(from), at(to))} stroke={theme.visualization.getColorByName(step.color)} strokeWidth={radius * 0.06} fill="none" />
        );
      })}
      <text x={cx} y={cy + radius * 0.12} textAnchor="middle" fontSize={Math.min(radius * 0.42, (radius * 2.6) / shown.length)} fontWeight={500} fill={value.display.color}>
        {shown}
      </text>
      <text x={cx} y={cy + radius * 0.95} textAnchor="middle" fontSize={13} fill={theme.colors.text.primary}>
        {value.display.title}
      </text>
    </svg>
  );
}

/** A ring with a part for each value, and its legend. */
export function Pie({ values, width, height, theme }: Size & { values: FieldDisplay[] }) {
  const sorted = [...values].sort((a, b) => b.display.numeric - a.display.numeric);
  const total = sorted.reduce((sum, value) => sum + Math.max(0, value.display.numeric), 0);
  const side = Math.min(height, width * 0.5);
  const [c, radius] = [side / 2, side * 0.36];
  let turn = -Math.PI / 2;
  return (
    <div style={{ display: 'flex', alignItems: 'center', position: 'relative', width, height }}>
      <svg width={side} height={side}>
        {sorted.map((value, index) => {
          const share = total > 0 ? Math.max(0, value.display.numeric) / total : 0;
          const from = turn;
          turn += share * Math.PI * 2;
          const [x, y] = point(c, c, radius, (from + turn) / 2).split(' ');
          return (
            <g key={index}>
              <path d={arc(c, c, radius, from, turn)} stroke={value.display.color} strokeWidth={side * 0.17} fill="none" />
              {share > 0.04 && (
                <text x={x} y={y} dy={5} textAnchor="middle" fontSize={14} fontWeight={500} fill={theme.colors.getContrastText(value.display.color ?? '#000')}>
                  {formattedValueToString(value.display)}
                </text>
              )}
            </g>
          );
        })}
      </svg>
      <table style={{ fontSize: 13, borderSpacing: '10px 4px', borderCollapse: 'separate' }}>
        <tbody>
          {sorted.map((value, index) => (
            <tr key={index}>
              <td><span style={{ display: 'inline-block', width: 14, height: 4, borderRadius: 2, marginRight: 8, verticalAlign: 'middle', background: value.display.color }} />{value.display.title}</td>
              <td style={{ textAlign: 'right' }}>{formattedValueToString(value.display)}</td>
              <td style={{ textAlign: 'right', color: theme.colors.text.secondary }}>{total > 0 ? `${Math.round((value.display.numeric / total) * 100)} %` : ''}</td>
            </tr>
          ))}
        </tbody>
      </table>
      <Note theme={theme}>{OWN}</Note>
    </div>
  );
}

const SCHEME = ['#33231a', '#5c3417', '#8a4713', '#b95a0f', '#e5740c', '#ff9830', '#ffb357', '#ffcb7d', '#ffe2ae', '#fff3dc'];

/** Buckets over time. */
export function HeatMap({ frame, unit, width, height, theme }: Size & { frame: DataFrame; unit: string }) {
  const times: number[] = frame.fields[0]?.values ?? [];
  const rows = frame.fields.slice(1);
  const [left, bottom] = [62, 24];
  const [across, up] = [(width - left - 8) / Math.max(1, times.length), (height - bottom - 8) / Math.max(1, rows.length)];
  const greatest = Math.max(1e-9, ...rows.flatMap((row) => row.values as number[]));
  const color = (value: number) => SCHEME[Math.min(SCHEME.length - 1, Math.floor(Math.sqrt(value / greatest) * SCHEME.length))];
  const format = getValueFormat(unit);
  const label = (name: string) => (name === '+Inf' ? '+Inf' : formattedValueToString(format(Number(name))));
  const every = Math.max(1, Math.ceil(times.length / Math.max(1, Math.floor((width - left) / 90))));
  const clock = (time: number) => new Date(time).toISOString().slice(11, 16);
  return (
    <div style={{ position: 'relative', width, height }}>
      <svg width={width} height={height} fontSize={12} fill={theme.colors.text.primary}>
        {rows.map((row, index) => {
          const y = height - bottom - (index + 1) * up;
          return (
            <g key={index}>
              <text x={left - 8} y={y + up / 2 + 4} textAnchor="end">{label(row.name)}</text>
              {(row.values as Array<number | null>).map((value, at) =>
                value !== null && value > 1e-9 ? (
                  <rect key={at} x={left + at * across} y={y} width={across > 4 ? across - 1 : across + 0.5} height={Math.max(1, up - 1)} fill={color(value)} />
                ) : null,
              )}
            </g>
          );
        })}
        {times.map((time, index) => (index % every === 0 ? <text key={index} x={left + index * across} y={height - 6}>{clock(time)}</text> : null))}
      </svg>
      <Note theme={theme}>{OWN}</Note>
    </div>
  );
}
