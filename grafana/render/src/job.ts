// What is to be drawn, as `cargo xtask panels` writes it down, and what came of it.

import type { Dashboard, FieldConfigSource } from '@grafana/schema';

/** One query of a panel, with the variables replaced. */
export interface Query {
  panel_id: number;
  ref_id: string;
  expr: string;
  instant: boolean;
  /** Why it may have no answer although all is well. */
  may_be_empty: string | null;
}

/** A dashboard in its classic form, and its queries. */
export interface DashboardJob {
  file: string;
  dashboard: Dashboard;
  queries: Query[];
}

export interface Job {
  prometheus: string;
  chromium: string;
  /** Where the bundled page is. */
  page: string;
  /** Where the pictures go. */
  out: string;
  /** The time range, in seconds since 1970, and its step. */
  start: number;
  end: number;
  step: number;
  dashboards: DashboardJob[];
}

/** A series as Prometheus answers it. */
export interface Series {
  metric: Record<string, string>;
  values: Array<[number, string]>;
}

/** A query and its answer. */
export interface Answer extends Query {
  series: Series[];
}

/** What the page is told to draw. */
export interface Page {
  dashboard: Dashboard;
  answers: Answer[];
  start: number;
  end: number;
  step: number;
}

/** What was drawn of a panel. */
export interface Drawn {
  id: number;
  title: string;
  /** The series, or rows, with a value. */
  series: number;
  /** What went wrong; empty when nothing did. */
  error: string;
}

/** A panel of the classic form, as far as it is drawn. */
export interface Panel {
  id: number;
  type: string;
  title: string;
  description: string;
  gridPos: { x: number; y: number; w: number; h: number };
  fieldConfig: FieldConfigSource;
  // The options are those of the panel's type; the type check compares them with it.
  options: Record<string, any>;
  targets: Array<{ refId: string; legendFormat: string }>;
  transformations: Array<{ id: string; options: any }>;
}
