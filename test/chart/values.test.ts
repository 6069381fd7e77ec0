/** The chart's values: each is described, each has an effect, and what cannot be meant is refused with a reason. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import type { Schema } from '../../tools/chart/schema.ts';
import { chart, describeChart, lint, renderedText, template, type Values } from './render.ts';

const schema = JSON.parse(fs.readFileSync(path.join(chart, 'values.schema.json'), 'utf8')) as Schema;

type Place = { path: string[]; schema: Schema };

/** Every value, groups as well. */
function placesIn({ properties = {} }: Schema, at: string[] = []): Place[] {
  return Object.entries(properties).flatMap(([name, each]) => {
    const items = each.items as Schema | undefined;
    return [{ path: [...at, name], schema: each }, ...placesIn(items ?? each, [...at, name])];
  });
}

const places = placesIn(schema);
/** Those that can be set one by one: no groups, no fields of entries in lists, and not what helm passes to every chart. */
const settable = places.filter(
  ({ path: at, schema: { default: value } }) => value !== undefined && at[0] !== 'global' && !insideList(at),
);

function insideList(at: string[]): boolean {
  const parents = places.filter(
    (each) => each.path.length < at.length && each.path.every((part, i) => part === at[i]),
  );
  return parents.some((each) => each.schema.items !== undefined || each.schema.default !== undefined);
}

function nested(at: readonly string[], value: unknown): Values {
  return at.reduceRight<unknown>((inner, part) => ({ [part]: inner }), value) as Values;
}

function merged(a: Values, b: Values): Values {
  const isGroup = (value: unknown) => typeof value === 'object' && value !== null && !Array.isArray(value);
  const both = Object.keys(b).map((key) => [
    key,
    isGroup(a[key]) && isGroup(b[key]) ? merged(a[key] as Values, b[key] as Values) : b[key],
  ]);
  return { ...a, ...Object.fromEntries(both) };
}

/** With all that can be turned on, and nothing that is different each time. */
const everything: Values = {
  tls: { source: 'secrets', secrets: { controller: 'a', engine: 'b' } },
  priorityClass: { create: true },
  controller: { priorityClassName: '' },
  monitoring: {
    podMonitor: { enabled: true },
    prometheusRule: { enabled: true },
    dashboard: { enabled: true },
  },
};
const certManager: Values = { tls: { source: 'certManager' } };

/** Another value than the default, that is allowed there. */
function another({ path: at, schema: each }: Place): unknown {
  const name = at.join('.');
  const special: Values = {
    'tls.source': 'certManager',
    'groupSnapshots.enabled': 'never',
    'controller.affinity': { nodeAffinity: {} },
    storageClasses: [{ name: 'other' }],
    volumeSnapshotClasses: [{ name: 'other' }],
    volumeGroupSnapshotClasses: [{ name: 'other' }],
    volumeAttributesClasses: [{ name: 'other', parameters: { copyRate: '10' } }],
    'image.digest': `sha256:${'0'.repeat(64)}`,
    poolDir: '/pool',
    kubeletDir: '/k3s/kubelet',
    listenHost: '[::]',
    'engine.logSize': '1Gi',
    'helmTest.size': '1Gi',
    'tls.certManager.duration': '100h',
    'tls.certManager.renewBefore': '10h',
    'monitoring.podMonitor.interval': '10s',
  };
  if (name in special) return special[name];
  if (name.endsWith('.digest')) return special['image.digest'];
  if (each.enum !== undefined) return each.enum.find((word) => word !== each.default);
  switch (each.type) {
    case 'boolean':
      return !each.default;
    case 'integer':
      return (each.default as number) === each.maximum ? each.maximum! - 1 : (each.default as number) + 1;
    case 'array':
      return each.items !== undefined && (each.items as Schema).type === 'string'
        ? ['--other']
        : [{ name: 'other' }];
    case 'object':
      return { other: 'value' };
    default:
      return 'other';
  }
}

describeChart("The chart's values", () => {
  it('are those that helm itself finds good', async () => {
    assert.match(await lint(), /1 chart\(s\) linted, 0 chart\(s\) failed/);
  });

  it('each have a description', () => {
    assert.ok(places.length > 150, `${places.length} values`);
    for (const { path: at, schema: each } of places)
      assert.match(each.description ?? '', /^.{4,}[.`):]/, at.join('.'));
  });

  it('are a closed world: a group knows all of its values', () => {
    const groups = places.filter(({ schema: each }) => each.properties !== undefined);
    for (const { path: at, schema: each } of groups)
      assert.equal(each.additionalProperties, false, at.join('.'));
    assert.equal(schema.additionalProperties, false);
  });

  it('are in values.yaml as the schema says, each explained there', () => {
    const text = fs.readFileSync(path.join(chart, 'values.yaml'), 'utf8');
    const lines = text.split('\n');
    const undocumented = lines.filter(
      (line, i) =>
        /^( {2}){0,2}[A-Za-z]+:/.test(line) && !/^ *#/.test(lines[i - 1] ?? '') && !insideForeign(lines, i),
    );
    assert.deepEqual(undocumented, []);
  });

  it('each have an effect', async () => {
    const before = await renderedText({ values: everything });
    const withCertManager = await renderedText({ values: merged(everything, certManager) });
    assert.equal(await renderedText({ values: everything }), before, 'rendered twice');
    const ofHelm = new Set(['tls.helm.validDays', 'tls.helm.renewal']); // tls.test.ts
    const without: string[] = [];
    for (const place of settable) {
      const name = place.path.join('.');
      if (ofHelm.has(name)) continue;
      const base = name.startsWith('tls.certManager.') ? merged(everything, certManager) : everything;
      const values = merged(base, nested(place.path, turned(place, base)));
      const apis = name === 'snapshotCrds.check' ? [] : undefined;
      const after = await renderedText({ values, ...(apis && { apis }) });
      if (name !== 'snapshotCrds.check' && after === (base === everything ? before : withCertManager))
        without.push(name);
    }
    assert.deepEqual(without, []);
  });
});

/** What is on in the base is turned off. */
function turned(place: Place, base: Values): unknown {
  const now = place.path.reduce<unknown>((value, part) => (value as Values | undefined)?.[part], base);
  return typeof now === 'boolean' ? !now : another(place);
}

/** Fields of Kubernetes' own objects below a value are not ours to explain. */
function insideForeign(lines: readonly string[], at: number): boolean {
  const depth = (line: string) => line.length - line.trimStart().length;
  for (let i = at - 1, below = depth(lines[at]!); i >= 0; i -= 1) {
    const line = lines[i]!;
    if (line.trim() === '' || line.trimStart().startsWith('#') || depth(line) >= below) continue;
    const name = /^ *([A-Za-z]+):/.exec(line)?.[1];
    const found = places.find(
      ({ path: path_ }) => path_.at(-1) === name && path_.length === depth(line) / 2 + 1,
    );
    if (found !== undefined && found.schema.default !== undefined) return true;
    below = depth(line);
  }
  return false;
}

describeChart('The chart refuses, and says why', () => {
  const refused = (what: string, asked: Parameters<typeof template>[0], ...texts: RegExp[]) =>
    it(what, async () => {
      const { status, stderr } = await template(asked);
      assert.notEqual(status, 0);
      for (const text of texts) assert.match(stderr, text);
    });
  const values = (what: string, given: Values, ...texts: RegExp[]) =>
    refused(what, { values: given }, ...texts);

  values('a value that is not known', { enigne: {} }, /additional properties 'enigne' not allowed/);
  values(
    'a misspelt value in a group',
    { node: { resource: {} } },
    /'\/node': additional properties 'resource'/,
  );
  values('a relative directory', { poolDir: 'pool' }, /'\/poolDir'/);
  values('no replica', { controller: { replicas: 0 } }, /'\/controller\/replicas': minimum: got 0, want 1/);
  values('a digest that is none', { image: { digest: 'abc' } }, /'\/image\/digest'.*does not match pattern/);
  values('a word for a number', { controller: { replicas: 'two' } }, /got string, want integer/);
  values(
    'another source of certificates',
    { tls: { source: 'none' } },
    /must be one of 'helm', 'certManager', 'secrets'/,
  );
  values('a class without a name', { storageClasses: [{}] }, /missing property 'name'/);
  values(
    'a parameter that the driver does not know',
    { storageClasses: [{ name: 'a', parameters: { grainsize: '4Ki' } }] },
    /additional properties 'grainsize' not allowed/,
  );
  values(
    'a parameter that is no text',
    { storageClasses: [{ name: 'a', parameters: { incremental: true } }] },
    /parameters\/incremental': got boolean, want string/,
  );
  values(
    'a copy rate that there is not',
    { volumeSnapshotClasses: [{ name: 'a', parameters: { copyRate: '151' } }] },
    /copyRate': '151' does not match pattern/,
  );
  values(
    'Secrets that are not named',
    { tls: { source: 'secrets' } },
    /tls\.source is "secrets": name the two Secrets in tls\.secrets\.controller and tls\.secrets\.engine/,
  );
  refused(
    'a cluster without VolumeSnapshots, and says how to install them',
    { apis: [] },
    /kubectl apply -k "https:\/\/github\.com\/kubernetes-csi\/external-snapshotter\/client\/config\/crd\?ref=v[\d.]+"/,
    /--set snapshotCrds\.check=false/,
  );
  refused(
    'VolumeAttributesClasses where the cluster has none',
    {
      values: { volumeAttributesClasses: [{ name: 'a', parameters: { copyRate: '9' } }] },
      kubeVersion: 'v1.33.2',
    },
    /volumeAttributesClasses needs Kubernetes 1\.34 or later, and the cluster has v1\.33\.2/,
  );
  refused('a Kubernetes that is too old', { kubeVersion: 'v1.30.9' }, /kubeVersion: >=1\.31\.0-0/);
});
