// What Grafana registers when it starts: the ways to configure fields, and to transform frames.

import {
  FieldConfigOptionsRegistry,
  ThresholdsMode,
  standardTransformers,
  standardTransformersRegistry,
  type FieldConfigPropertyItem,
} from '@grafana/data';

const item = (id: string, path: string, isCustom: boolean): FieldConfigPropertyItem => ({
  id,
  path,
  isCustom,
  name: id,
  process: (value) => value,
  shouldApply: () => true,
  override: () => null,
  editor: () => null,
  settings: {},
  ...(id === 'thresholds' ? { defaultValue: { mode: ThresholdsMode.Absolute, steps: [] } } : {}),
});

const STANDARD = ['unit', 'decimals', 'min', 'max', 'displayName', 'noValue', 'color', 'thresholds', 'mappings', 'links'];

const CUSTOM = [
  'drawStyle', 'lineInterpolation', 'lineWidth', 'fillOpacity', 'showPoints', 'spanNulls', 'stacking', 'thresholdsStyle',
  'axisSoftMax', 'align', 'width', 'minWidth', 'cellOptions', 'inspect',
];

/** What `fieldConfig` may set. */
export const fields = new FieldConfigOptionsRegistry(() => [
  ...STANDARD.map((id) => item(id, id, false)),
  ...CUSTOM.map((id) => item(`custom.${id}`, id, true)),
]);

const TRANSFORMERS = ['mergeTransformer', 'filterFieldsByNameTransformer', 'organizeFieldsTransformer'] as const;

standardTransformersRegistry.setInit(() =>
  TRANSFORMERS.map((name) => {
    const transformation = standardTransformers[name];
    return { id: transformation.id, name: transformation.name, transformation: async () => transformation, editor: () => null } as any;
  }),
);
