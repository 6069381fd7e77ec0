/** What the chart and deploy/ give is accepted by the API server, with its defaults and with all that is optional. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { installations } from '../chart/installations.ts';
import { objectsIn, rendered } from '../chart/render.ts';
import { foreignSources } from './harness/binaries.ts';
import { runningCluster } from './harness/cluster.ts';
import { kubectl } from './harness/kubectl.ts';
import { scene } from './harness/scene.ts';

const deploy = path.resolve(import.meta.dirname, '../../deploy');
/** The definitions of the Prometheus operator and of cert-manager: what they make of the objects is not tried here. */
const FOREIGN = {
  'github.com/prometheus-operator/prometheus-operator@v0.85.0': [
    'example/prometheus-operator-crd/monitoring.coreos.com_podmonitors.yaml',
    'example/prometheus-operator-crd/monitoring.coreos.com_prometheusrules.yaml',
  ],
  'github.com/cert-manager/cert-manager@v1.21.2': [
    'deploy/crds/cert-manager.io_certificates.yaml',
    'deploy/crds/cert-manager.io_issuers.yaml',
  ],
};

describe('What is in deploy/', () => {
  const at = scene('manifests');

  for (const name of fs.readdirSync(path.join(deploy, 'examples')).sort())
    it(`is accepted: ${name}`, async () => {
      const file = path.join(deploy, 'examples', name);
      const said = await at.kubectl('create', '--dry-run=server', '--validate=strict', '-f', file);
      assert.equal(said.trim().split('\n').length, objectsIn(fs.readFileSync(file, 'utf8')).length, said);
    });

  it('is accepted as a whole, without helm', async () => {
    const said = await kubectl(at.cluster, ['apply', '--dry-run=server', '--validate=strict', '-k', deploy]);
    assert.match(said, /daemonset\.apps\/flashcopy-csi-engine/);
    assert.match(said, /csidriver\.storage\.k8s\.io\/csi\.flashcopy\.dev/);
  });
});

describe('What the chart makes', () => {
  const cluster = runningCluster();
  const definitions: string[] = [];

  before(async () => {
    for (const [module, files] of Object.entries(FOREIGN)) {
      const directory = await foreignSources(module);
      definitions.push(...files.flatMap((file) => ['-f', path.join(directory, file)]));
    }
    await kubectl(cluster, ['create', ...definitions]);
    await kubectl(cluster, ['wait', '--for=condition=Established', '--timeout=60s', ...definitions]);
  });
  after(() => kubectl(cluster, ['delete', ...definitions]));

  for (const [how, values] of Object.entries(installations))
    it(`is accepted ${how}`, async () => {
      const objects = await rendered({ values, release: 'options' });
      // A pod is refused while its service account is not there, and the one of helm test is tried by helm test.
      const tried = objects.filter(({ kind }) => kind !== 'Pod');
      assert.ok(tried.length > 10);
      const input = tried.map((object) => JSON.stringify(object)).join('\n---\n');
      const said = await kubectl(cluster, ['apply', '--dry-run=server', '--validate=strict', '-f', '-'], {
        input,
      });
      assert.equal(said.trim().split('\n').length, tried.length, said);
    });
});
