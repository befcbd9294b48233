// The classic form, with what data sources keep in it: the published type has the dashboard's own fields alone.

import type { Dashboard } from '@grafana/schema';
import type { Spec } from '@grafana/schema/apis/dashboard.grafana.app/v2';

type Common = NonNullable<NonNullable<Dashboard['annotations']>['list']>[number];

/** Of the Prometheus data source. */
interface PrometheusMarks {
  datasource: { type: 'prometheus'; uid: string };
  expr: string;
  step: string;
  titleFormat: string;
  textFormat: string;
  tagKeys: string;
  useValueForTime: boolean;
}

/** Of Grafana's own annotations. */
interface Tags {
  datasource: { type: 'grafana'; uid: '-- Grafana --' };
  target: { type: 'tags'; tags: string[]; matchAny: boolean; limit: number };
}

type Variable = NonNullable<NonNullable<Dashboard['templating']>['list']>[number] & { definition?: string };

export type Classic = Omit<Dashboard, 'annotations' | 'templating'> & {
  annotations: { list: Array<Omit<Common, 'datasource' | 'target'> & (PrometheusMarks | Tags)> };
  templating: { list: Variable[] };
};

/** A resource as it is handed to a server, which adds the rest. */
export interface Resource {
  apiVersion: 'dashboard.grafana.app/v2';
  kind: 'Dashboard';
  metadata: { name: string };
  spec: Spec;
}
