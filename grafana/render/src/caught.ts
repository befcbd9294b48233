// What the type check must catch. Were one of these mistakes not found, the directive above it would be an error.

import type { Dashboard } from '@grafana/schema';
import type { Spec } from '@grafana/schema/apis/dashboard.grafana.app/v2';
import type { Options as PieOptions } from '@grafana/schema/dist/esm/raw/composable/piechart/panelcfg/x/PieChartPanelCfg_types.gen';

import type { Json } from './json';

// @ts-expect-error A title is a text.
export const title: Json<Partial<Dashboard>> = { title: 1 };

// @ts-expect-error There is no such field.
export const field: Json<Partial<Dashboard>> = { titel: 'Edge: requests' };

// @ts-expect-error No pie is square.
export const pie: Json<Partial<PieOptions>> = { pieType: 'square' };

// @ts-expect-error A layout is of a kind.
export const layout: Json<Partial<Spec>> = { layout: { kind: 'CircleLayout', spec: { rows: [] } } };
