/** The alerts and the dashboard ask for metrics that the roles tell. */
import assert from 'node:assert/strict';
import { parser } from '@prometheus-io/lezer-promql';
import { addEngineMetrics } from '../../src/api/engine-metrics.ts';
import { newRegistry } from '../../src/base/health-server.ts';
import { addKeeperMetrics } from '../../src/cli/node.ts';
import { csiCallMetrics } from '../../src/csi/csi-metrics.ts';
import { operatorMetrics } from '../../src/operator/metrics.ts';
import { FakeEngine } from '../support/fake-engine.ts';
import { describeChart, type KubeObject, rendered, the, type Values } from './render.ts';

const values: Values = {
  monitoring: {
    podMonitor: { enabled: true },
    prometheusRule: { enabled: true, poolFreePercent: 30 },
    dashboard: { enabled: true },
  },
};

type Rule = {
  alert: string;
  expr: string;
  labels: { severity: string };
  annotations: Record<string, string>;
};

describeChart('Monitoring by the chart', () => {
  let objects: KubeObject[];
  let rules: Rule[];
  let panels: { title: string; gridPos: { x: number; y: number }; targets: { expr: string }[] }[];
  before(async () => {
    objects = await rendered({ values });
    rules = (the(objects, 'PrometheusRule').spec!['groups'] as { rules: Rule[] }[]).flatMap(
      (each) => each.rules,
    );
    const dashboard = the(objects, 'ConfigMap', '-dashboard').data!['flashcopy-csi.json']!;
    panels = (JSON.parse(dashboard) as { panels: typeof panels }).panels;
  });

  const known = () => {
    const [engine, controller] = [newRegistry(), newRegistry()];
    addEngineMetrics(engine, new FakeEngine(), { restarts: 0 }, { kept: false });
    csiCallMetrics(controller);
    addKeeperMetrics(engine, { held: [] });
    operatorMetrics(controller, { leading: () => true, queued: () => 0, mappings: () => [] });
    const names = [engine, controller].flatMap((each) => each.getMetricsAsArray().map(({ name }) => name));
    return new Set([...names, ...names.map((name) => `${name}_bucket`)]);
  };

  it('asks in PromQL', () => {
    const queries = panels.flatMap(({ targets }) => targets.map(({ expr }) => expr));
    // Grafana puts a duration there.
    const all = [...rules.map(({ expr }) => expr), ...queries].map((expr) =>
      expr.replaceAll('$__rate_interval', '5m'),
    );
    const wrong = (expr: string) => {
      let errors = 0;
      parser.parse(expr).iterate({
        enter: ({ type }) => {
          errors += Number(type.isError);
        },
      });
      return errors > 0;
    };
    assert.ok(wrong('sum by (a rate(b[5m])'));
    assert.deepEqual(all.filter(wrong), []);
  });

  it('asks only for metrics that there are', () => {
    const asked = [
      ...rules.map(({ expr }) => expr),
      ...panels.flatMap(({ targets }) => targets.map(({ expr }) => expr)),
    ]
      .join(' ')
      .match(/flashcopy_\w+/g)!;
    assert.ok(asked.length > 30);
    const names = known();
    assert.deepEqual(
      [...new Set(asked)].filter((name) => !names.has(name)),
      [],
    );
  });

  it('warns of a pool that fills, of what is broken, of an engine that dies, and of a node without one', () => {
    const alerts = new Map(rules.map((rule) => [rule.alert, rule]));
    assert.match(alerts.get('FlashCopyPoolNearlyFull')!.expr, /< 30 \/ 100$/);
    for (const alert of [
      'FlashCopyBitmapMemoryNearlyFull',
      'FlashCopySnapshotBroken',
      'FlashCopyVolumeSuspended',
      'FlashCopyEngineRestarting',
      'FlashCopyNodeWithoutEngine',
    ])
      assert.ok(alerts.has(alert), alert);
    for (const { alert, labels, annotations } of rules) {
      assert.match(labels.severity, /^(warning|critical)$/, alert);
      assert.match(annotations['summary']!, /\.$/, alert);
      assert.match(annotations['description']!, /\.$/, alert);
    }
  });

  it('names what the rules and the dashboard look for in what it scrapes', () => {
    const { jobLabel, selector, podMetricsEndpoints } = the(objects, 'PodMonitor').spec as {
      jobLabel: string;
      selector: { matchLabels: Record<string, string> };
      podMetricsEndpoints: { port: string; relabelings: { targetLabel: string }[] }[];
    };
    const [endpoint] = podMetricsEndpoints;
    assert.deepEqual(
      endpoint!.relabelings.map(({ targetLabel }) => targetLabel),
      ['role', 'node'],
    );
    for (const name of ['-engine', '-node', '-controller']) {
      const [workload] = objects.filter(
        ({ spec, metadata }) => spec?.template && metadata.name.endsWith(name),
      );
      const { labels } = workload!.spec!.template!.metadata;
      assert.equal(labels![jobLabel], 'flashcopy-csi');
      for (const [label, value] of Object.entries(selector.matchLabels)) assert.equal(labels![label], value);
      const [container] = workload!.spec!.template!.spec.containers as unknown as {
        ports: { name: string }[];
      }[];
      assert.ok(container!.ports.some(({ name: port }) => port === endpoint!.port));
    }
  });

  it('has a dashboard whose panels do not lie on each other', () => {
    const spots = panels.map(({ gridPos: { x, y } }) => `${x},${y}`);
    assert.deepEqual([...new Set(spots)], spots);
  });
});
