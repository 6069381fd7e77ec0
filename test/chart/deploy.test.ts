/** What is in deploy/ for kubectl: the manifests are the chart, the script makes good certificates, the examples fit. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { CONTROLLER_NAME, engineNameOf, TlsDirectory } from '../../src/api/tls-directory.ts';
import { mutableParameters, snapshotParameters, volumeParameters } from '../../src/csi/parameters.ts';
import { customResourceDefinitions } from '../../src/operator/crds.ts';
import { MANIFESTS, renderManifests } from '../../tools/chart/manifests.ts';
import { attempt, run } from '../support/commands.ts';
import { describeChart, type KubeObject, objectsIn, podSpecs, rendered, repository } from './render.ts';

const deploy = path.join(repository, 'deploy');
const textOf = (name: string) => fs.readFileSync(path.join(deploy, name), 'utf8');
const examples = fs.readdirSync(path.join(deploy, 'examples')).sort();

describeChart('The plain manifests', () => {
  it('are what the chart gives', async () => {
    assert.equal(fs.readFileSync(path.join(repository, MANIFESTS), 'utf8'), await renderManifests());
  });

  it('have the namespace and the Secrets that the other files make, and nothing of helm', async () => {
    const objects = objectsIn(textOf('flashcopy-csi.yaml'));
    const [namespace] = objectsIn(textOf('namespace.yaml'));
    const named = new Set(objects.flatMap(({ metadata }) => metadata.namespace ?? []));
    assert.deepEqual([...named], [namespace!.metadata.name]);
    const made = (await secrets()).map(({ metadata }) => metadata.name);
    const used = podSpecs(objects).flatMap(({ spec }) =>
      spec.volumes!.flatMap(({ secret }) => secret?.secretName ?? []),
    );
    assert.deepEqual(used.sort(), made.sort());
    assert.doesNotMatch(textOf('flashcopy-csi.yaml'), /helm/i);
  });

  it('are all in the kustomization', () => {
    const [{ resources }] = objectsIn(textOf('kustomization.yaml')) as unknown as [{ resources: string[] }];
    const crds = fs.readdirSync(path.join(deploy, 'crds')).map((name) => `crds/${name}`);
    assert.deepEqual([...resources].sort(), [...crds, 'flashcopy-csi.yaml', 'namespace.yaml'].sort());
  });
});

const secrets = async (...args: string[]): Promise<KubeObject[]> =>
  objectsIn(await run(path.join(deploy, 'certificates.sh'), args));

describeChart('The script for certificates', () => {
  it('makes Secrets that controller and engines take', async () => {
    const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'flashcopy-deploy-'));
    try {
      for (const { metadata, data } of await secrets('--namespace', 'storage', '--days', '9')) {
        assert.equal(metadata.namespace, 'storage');
        const at = path.join(dir, metadata.name);
        fs.mkdirSync(at);
        for (const [file, content] of Object.entries(data!))
          fs.writeFileSync(path.join(at, file), Buffer.from(content, 'base64'));
      }
      new TlsDirectory(path.join(dir, 'flashcopy-csi-controller-tls'), CONTROLLER_NAME);
      new TlsDirectory(path.join(dir, 'flashcopy-csi-engine-tls'), engineNameOf('ip-10-0-0-7.ec2.internal'));
    } finally {
      fs.rmSync(dir, { recursive: true });
    }
  });

  it('refuses what it does not know', async () => {
    const { status, stderr } = await attempt(path.join(deploy, 'certificates.sh'), ['--day', '1']);
    assert.equal(status, 2);
    assert.match(stderr, /unknown option --day; there are --namespace NAME and --days NUMBER/);
  });
});

type Shape = {
  type: string;
  properties?: Record<string, Shape>;
  items?: Shape;
  required?: string[];
  enum?: unknown[];
  pattern?: string;
};

/** What of a value is not as a definition has it: enough of its rules to find misspelt fields and words. */
function objections(value: unknown, shape: Shape, at: string): string[] {
  if (shape.type === 'object' && shape.properties !== undefined) {
    const fields = value as Record<string, unknown>;
    const missing = (shape.required ?? [])
      .filter((name) => !(name in fields))
      .map((name) => `${at}.${name} is missing`);
    const wrong = Object.entries(fields).flatMap(([name, each]) => {
      const own = shape.properties![name];
      return own === undefined ? [`${at}.${name} is not known`] : objections(each, own, `${at}.${name}`);
    });
    return [...missing, ...wrong];
  }
  if (shape.enum !== undefined && !shape.enum.includes(value)) return [`${at} is ${value}`];
  if (shape.pattern !== undefined && !new RegExp(shape.pattern).test(String(value)))
    return [`${at} is ${value}`];
  const found = Number.isInteger(value) ? 'integer' : typeof value;
  return found === shape.type ? [] : [`${at} is no ${shape.type}`];
}

describeChart('The examples', () => {
  const all = examples.flatMap((name) =>
    objectsIn(textOf(`examples/${name}`)).map((object) => ({ name, object })),
  );

  it('are all told of in the README, and say what they show', () => {
    for (const name of examples) {
      assert.ok(textOf('README.md').includes(`\`${name}\``), name);
      assert.match(textOf(`examples/${name}`), /^# .{30}/, name);
    }
  });

  it('show every class and every kind of object', () => {
    const kinds = new Set(all.map(({ object: { kind } }) => kind));
    for (const kind of [
      ...['PersistentVolumeClaim', 'Pod', 'VolumeSnapshot', 'VolumeGroupSnapshot'],
      ...['StorageClass', 'VolumeSnapshotClass', 'VolumeGroupSnapshotClass', 'VolumeAttributesClass'],
      ...customResourceDefinitions().map((each) => (each['spec'] as { names: { kind: string } }).names.kind),
    ])
      assert.ok(kinds.has(kind), kind);
  });

  it('name only what other examples or the chart make', async () => {
    const chart = await rendered();
    const known = [...all.map(({ object }) => object), ...chart].map(
      ({ kind, metadata }) => `${kind}/${metadata.name}`,
    );
    for (const { name, object } of all)
      for (const reference of referencesOf(object))
        assert.ok(known.includes(reference), `${name}: ${reference}`);
  });

  it('have parameters that the driver takes', () => {
    const readers: Record<string, (parameters: Record<string, string>) => unknown> = {
      StorageClass: (parameters) => volumeParameters(parameters, {}),
      VolumeSnapshotClass: snapshotParameters,
      VolumeGroupSnapshotClass: snapshotParameters,
      VolumeAttributesClass: mutableParameters,
    };
    const classes = all.filter(({ object: { kind } }) => readers[kind] !== undefined);
    assert.ok(classes.length >= 5);
    for (const { object } of classes)
      readers[object.kind]!((object['parameters'] as Record<string, string> | undefined) ?? {});
  });

  it('are custom resources as their definitions have them', () => {
    for (const definition of customResourceDefinitions()) {
      const { names, versions } = definition['spec'] as {
        names: { kind: string };
        versions: [{ schema: { openAPIV3Schema: Shape } }];
      };
      const shape = versions[0].schema.openAPIV3Schema.properties!['spec']!;
      const found = all.filter(({ object: { kind } }) => kind === names.kind);
      assert.ok(found.length > 0, names.kind);
      for (const { name, object } of found)
        assert.deepEqual(objections(object.spec, shape, 'spec'), [], name);
    }
  });
});

type Named = Record<string, string | undefined>;

/** "Kind/name" of what an object builds on. */
function referencesOf({ kind, spec = {} }: KubeObject): string[] {
  const {
    storageClassName,
    volumeAttributesClassName,
    volumeSnapshotClassName,
    volumeGroupSnapshotClassName,
  } = spec as Named;
  const { dataSource, source, target, mappingName, snapshots, sync, volumes } = spec as Record<
    string,
    Named | undefined
  >;
  const claims = [
    source?.['claimName'],
    target?.['claimName'],
    source?.['persistentVolumeClaimName'],
    ...(kind === 'Pod'
      ? (volumes as unknown as Record<string, Named>[]).map(
          (each) => each['persistentVolumeClaim']?.['claimName'],
        )
      : []),
  ];
  const pairs: [string, string | undefined][] = [
    ['StorageClass', storageClassName],
    ['VolumeAttributesClass', volumeAttributesClassName],
    ['VolumeSnapshotClass', volumeSnapshotClassName],
    ['VolumeSnapshotClass', snapshots?.['volumeSnapshotClassName']],
    ['VolumeGroupSnapshotClass', volumeGroupSnapshotClassName],
    ['FlashCopyMapping', mappingName as string | undefined],
    ['FlashCopyMapping', sync?.['mappingName']],
    [dataSource?.['kind'] ?? '', dataSource?.['name']],
    ...claims.map((name): [string, string | undefined] => ['PersistentVolumeClaim', name]),
  ];
  return pairs.flatMap(([of, name]) => (name === undefined ? [] : `${of}/${name}`));
}
