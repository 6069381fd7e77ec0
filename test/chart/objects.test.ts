/** What the chart makes: which rights it asks for, what its pods may do, and whether the program knows its options. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { customResourceDefinitions } from '../../src/operator/crds.ts';
import { run } from '../support/commands.ts';
import { installations } from './installations.ts';
import {
  type Container,
  chart,
  container,
  describeChart,
  type KubeObject,
  NAMESPACE,
  podSpecs,
  rendered,
  repository,
  role,
  SNAPSHOTS,
  the,
  type Values,
} from './render.ts';

const CLUSTER_WIDE = new Set([
  ...['CSIDriver', 'ClusterRole', 'ClusterRoleBinding', 'CustomResourceDefinition', 'PriorityClass'],
  ...['StorageClass', 'VolumeSnapshotClass', 'VolumeGroupSnapshotClass', 'VolumeAttributesClass'],
]);

for (const [how, values] of Object.entries(installations)) {
  describeChart(`Installed ${how}, the chart`, () => {
    let objects: KubeObject[];
    before(async () => {
      objects = await rendered({ values });
    });

    it('makes objects that are all there once, named, labelled and in their place', () => {
      const ids = objects.map(({ kind, metadata: { name } }) => `${kind}/${name}`);
      assert.deepEqual([...new Set(ids)], ids);
      for (const { kind, apiVersion, metadata } of objects) {
        assert.match(apiVersion, /^([-a-z.0-9]+\/)?v\d/, `${kind} ${metadata.name}`);
        assert.match(metadata.name, /^[a-z0-9]([-a-z0-9.]{0,61}[a-z0-9])?$/);
        assert.equal(
          metadata.labels?.['app.kubernetes.io/part-of'],
          'flashcopy-csi',
          `${kind} ${metadata.name}`,
        );
        if (CLUSTER_WIDE.has(kind)) assert.equal(metadata.namespace, undefined, kind);
        else assert.equal(metadata.namespace, NAMESPACE, `${kind} ${metadata.name}`);
      }
    });

    it('names only ServiceAccounts, Secrets and roles that it makes or was told', () => {
      const made = (kind: string) =>
        objects.filter((each) => each.kind === kind).map(({ metadata: { name } }) => name);
      const secrets = [...made('Secret'), 'mine-c', 'mine-e', ...certificateSecrets(objects)];
      for (const { name, spec } of podSpecs(objects)) {
        assert.ok(made('ServiceAccount').includes(spec.serviceAccountName!), name);
        for (const { secret } of spec.volumes ?? [])
          assert.ok(!secret || secrets.includes(secret.secretName), name);
      }
      for (const { kind, roleRef } of objects.filter((each) => each.kind.endsWith('RoleBinding')))
        assert.ok(made(kind.replace('Binding', '')).includes((roleRef as { name: string }).name));
    });

    it('finds the pods of each workload by labels that they have', () => {
      for (const { spec } of objects.filter(({ spec }) => spec?.template !== undefined)) {
        const { matchLabels } = spec!['selector'] as { matchLabels: Record<string, string> };
        const { labels } = spec!.template!.metadata;
        for (const [label, value] of Object.entries(matchLabels)) assert.equal(labels![label], value);
      }
    });

    it('runs containers with a pinned version, requests and a read-only filesystem', () => {
      for (const { name, spec } of podSpecs(objects)) {
        for (const each of spec.containers) {
          assert.match(each.image, /:[^:/]+$/, name);
          assert.doesNotMatch(each.image, /:latest/, name);
          assert.deepEqual(Object.keys(each.resources!.requests!).sort(), ['cpu', 'memory'], each.name);
          assert.equal(each.securityContext?.['readOnlyRootFilesystem'], true, each.name);
        }
        assert.notEqual(spec.hostNetwork, true, name);
      }
    });
  });
}

function certificateSecrets(objects: readonly KubeObject[]): string[] {
  return objects.flatMap(({ kind, spec }) => (kind === 'Certificate' ? [spec!['secretName'] as string] : []));
}

describeChart('The rights that the chart gives', () => {
  let objects: KubeObject[];
  before(async () => {
    objects = await rendered();
  });
  const rules = (name: string) =>
    objects
      .filter((each) => each.kind.endsWith('Role') && each.metadata.name.endsWith(name))
      .flatMap((each) => each.rules!);

  it('are named one by one, and none is one to take further rights by', () => {
    for (const { apiGroups, resources, verbs } of [...rules('-controller'), ...rules('-test')]) {
      for (const word of [...apiGroups, ...resources, ...verbs]) assert.doesNotMatch(word, /\*/);
      for (const verb of verbs) assert.doesNotMatch(verb, /escalate|bind|impersonate|deletecollection/);
      for (const resource of resources)
        assert.doesNotMatch(
          resource,
          /secrets|configmaps|roles|exec|token|pods\/|serviceaccounts|webhook|nodes\/|daemonsets|customresource/,
        );
    }
  });

  it('let nobody change pods or nodes', () => {
    const writing = rules('-controller').filter(({ resources }) =>
      resources.some((each) => ['pods', 'nodes'].includes(each)),
    );
    assert.ok(writing.length > 0);
    for (const { verbs } of writing) assert.deepEqual(verbs, ['get', 'list', 'watch']);
  });

  it('are none for the privileged roles, which have no token either', () => {
    const bound = objects
      .filter((each) => each.kind.endsWith('RoleBinding'))
      .flatMap(({ subjects }) => subjects as { name: string }[]);
    assert.deepEqual([...new Set(bound.map(({ name }) => name))].sort(), [
      'flashcopy-csi-controller',
      'flashcopy-csi-test',
    ]);
    for (const name of ['node', 'engine'])
      assert.equal(role(objects, name).automountServiceAccountToken, false);
  });

  it('are fewer without the operator', async () => {
    const words = async (enabled: boolean) => {
      const objects = await rendered({ values: { controller: { operator: { enabled } } } });
      return JSON.stringify(the(objects, 'ClusterRole', '-controller').rules);
    };
    assert.match(await words(true), /flashcopy\.dev/);
    assert.doesNotMatch(await words(false), /flashcopy\.dev/);
  });
});

describeChart('The pods of the chart', () => {
  let objects: KubeObject[];
  before(async () => {
    objects = await rendered();
  });

  it('are without any privilege where the controller runs', () => {
    for (const spec of [role(objects, 'controller'), role(objects, 'test')]) {
      assert.equal(spec.securityContext?.['runAsNonRoot'], true);
      assert.deepEqual(spec.securityContext?.['seccompProfile'], { type: 'RuntimeDefault' });
      assert.ok(!spec.volumes?.some(({ hostPath }) => hostPath));
      for (const { name, securityContext } of spec.containers) {
        assert.equal(securityContext?.['allowPrivilegeEscalation'], false, name);
        assert.deepEqual(securityContext?.['capabilities'], { drop: ['ALL'] }, name);
        assert.equal(securityContext?.['privileged'], undefined, name);
      }
    }
  });

  it('see of the host what their role needs', () => {
    const paths = (name: string) =>
      role(objects, name)
        .volumes!.flatMap(({ hostPath }) => hostPath?.path ?? [])
        .sort();
    assert.deepEqual(paths('engine'), ['/dev', '/run/flashcopy', '/var/lib/flashcopy/pool']);
    assert.deepEqual(paths('node'), [
      '/dev',
      '/run/flashcopy',
      '/var/lib/kubelet',
      '/var/lib/kubelet/plugins/csi.flashcopy.dev',
      '/var/lib/kubelet/plugins_registry',
    ]);
    assert.equal(role(objects, 'node').hostPID, undefined);
  });

  it('use an image by its digest where one is given', async () => {
    const digest = `sha256:${'a'.repeat(64)}`;
    const image = { repository: 'registry.example/flashcopy', digest };
    const pinned = await rendered({ values: { image, sidecars: { resizer: { image: { digest } } } } });
    assert.equal(
      container(role(pinned, 'engine'), 'engine').image,
      `registry.example/flashcopy:0.1.0@${digest}`,
    );
    assert.match(
      container(role(pinned, 'controller'), 'csi-resizer').image,
      new RegExp(`:v[\\d.]+@${digest}$`),
    );
  });

  it('follow another kubelet directory and another pool', async () => {
    const moved = await rendered({ values: { kubeletDir: '/data/kubelet', poolDir: '/mnt/pool' } });
    const node = container(role(moved, 'node'), 'node');
    assert.ok(node.args!.includes('--kubelet-csi-path=/data/kubelet/plugins/csi.flashcopy.dev/csi.sock'));
    assert.ok(container(role(moved, 'engine'), 'engine').args!.includes('--pool=/mnt/pool'));
    assert.doesNotMatch(JSON.stringify(podSpecs(moved)), /\/var\/lib\/(kubelet|flashcopy)/);
  });

  for (const name of ['engine', 'node', 'controller']) {
    it(`give the program options that it knows: ${name}`, async () => {
      const { args, startupProbe, livenessProbe, readinessProbe } = container(
        role(objects, name),
        name,
      ) as Container;
      const help = await run(process.execPath, [
        path.join(repository, 'bin/flashcopy.js'),
        args![0]!,
        '--help',
      ]);
      assert.equal(args![0], name);
      for (const option of args!.slice(1).map((arg) => arg.split('=')[0]!))
        assert.match(help, new RegExp(`^ +${option}( |$)`, 'm'), option);
      assert.ok(startupProbe && livenessProbe && readinessProbe);
    });
  }

  it('reach engines only from the controller', () => {
    const { ingress } = the(objects, 'NetworkPolicy', '-engine').spec as {
      ingress: {
        ports: { port: number }[];
        from?: { podSelector: { matchLabels: Record<string, string> } }[];
      }[];
    };
    const [rule, ...more] = ingress.filter(({ ports }) => ports.some(({ port }) => port === 9750));
    assert.equal(more.length, 0);
    const [{ podSelector }] = rule!.from! as [{ podSelector: { matchLabels: Record<string, string> } }];
    assert.equal(podSelector.matchLabels['app.kubernetes.io/component'], 'controller');
    const { labels } = the(objects, 'Deployment', '-controller').spec!.template!.metadata;
    for (const [label, value] of Object.entries(podSelector.matchLabels)) assert.equal(labels![label], value);
  });
});

describeChart('The chart', () => {
  it('has the version of the program', () => {
    const { version } = JSON.parse(fs.readFileSync(path.join(repository, 'package.json'), 'utf8')) as {
      version: string;
    };
    const text = fs.readFileSync(path.join(chart, 'Chart.yaml'), 'utf8');
    assert.match(text, new RegExp(`^version: ${version}$`, 'm'));
    assert.match(text, new RegExp(`^appVersion: ${version}$`, 'm'));
  });

  it('installs the definitions of the custom resources so that helm upgrades them and never deletes them', async () => {
    const definitions = (await rendered()).filter(({ kind }) => kind === 'CustomResourceDefinition');
    const expected = customResourceDefinitions().map(({ metadata: { name } }) => name);
    assert.deepEqual(definitions.map(({ metadata: { name } }) => name).sort(), expected.sort());
    for (const { metadata, spec } of definitions) {
      assert.equal(metadata.annotations!['helm.sh/resource-policy'], 'keep');
      const source = customResourceDefinitions().find((each) => each.metadata.name === metadata.name)!;
      assert.deepEqual(spec, JSON.parse(JSON.stringify(source['spec'])));
    }
  });

  it('looks for group snapshots where the cluster has them, and where it is told to', async () => {
    const has = async (values: Values, apis?: string[]) => {
      const objects = await rendered({ values, ...(apis && { apis }) });
      const gate = container(role(objects, 'controller'), 'csi-snapshotter').args!.includes(
        '--feature-gates=CSIVolumeGroupSnapshot=true',
      );
      assert.equal(
        objects.some(({ kind }) => kind === 'VolumeGroupSnapshotClass'),
        gate,
      );
      return gate;
    };
    assert.equal(await has({}), true);
    assert.equal(await has({}, [SNAPSHOTS]), false);
    assert.equal(await has({ groupSnapshots: { enabled: 'always' } }, [SNAPSHOTS]), true);
    assert.equal(await has({ groupSnapshots: { enabled: 'never' } }), false);
  });

  it('can be installed under another name', async () => {
    const objects = await rendered({ release: 'storage', values: { nameOverride: 'fc' } });
    assert.equal(the(objects, 'DaemonSet', '-engine').metadata.name, 'storage-fc-engine');
    const engine = the(objects, 'DaemonSet', '-engine').spec!.template!.metadata.labels!;
    const args = container(role(objects, 'controller'), 'controller').args!;
    const selector = args
      .find((arg) => arg.startsWith('--engine-selector='))!
      .replace('--engine-selector=', '');
    for (const pair of selector.split(',')) assert.equal(engine[pair.split('=')[0]!], pair.split('=')[1]);
  });
});
