/** What the chart and deploy/ give is accepted by the API server, with its defaults and with all that is optional. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { everything } from '../chart/installations.ts';
import { objectsIn, rendered } from '../chart/render.ts';
import { runningCluster } from './harness/cluster.ts';
import { kubectl } from './harness/kubectl.ts';
import { scene } from './harness/scene.ts';

const deploy = path.resolve(import.meta.dirname, '../../deploy');
/** Of the Prometheus operator and cert-manager, which are not here. */
const FOREIGN = /^(monitoring\.coreos\.com|cert-manager\.io)\//;

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

  it('is accepted with all that is optional', async () => {
    const objects = await rendered({ values: everything, release: 'options' });
    // A pod is refused while its service account is not there, and the one of helm test is tried by helm test.
    const ours = objects.filter(({ apiVersion, kind }) => !FOREIGN.test(apiVersion) && kind !== 'Pod');
    assert.ok(ours.length > 20);
    const input = ours.map((object) => JSON.stringify(object)).join('\n---\n');
    await kubectl(cluster, ['apply', '--dry-run=server', '--validate=strict', '-f', '-'], { input });
  });
});
