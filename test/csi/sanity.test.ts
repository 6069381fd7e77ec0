/**
 * The official suite passes whole: on one machine that serves everything from one socket, and on a controller, a node and
 * an engine that are processes of their own and reach each other as in a cluster.
 */
import assert from 'node:assert/strict';
import path from 'node:path';
import { ControllerAndNodes } from '../support/csi-roles.ts';
import { buildCsiSanity, runCsiSanity } from '../support/csi-sanity.ts';
import { csiSuite } from '../support/csi-suite.ts';
import { engineSuite } from '../support/engine-suite.ts';

/** Volumes are attached by the node service, so these calls are not there; the other is disabled by its authors. */
const EXPECTED = /Controller ?(?:Publish|Unpublish).*not supported|^pending$/;
/** Fewer would mean that a capability was not announced. */
const SPECS_MIN = 85;
const RUN_MS = 700_000;

type Where = { endpoint: string; controllerEndpoint?: string; directory: string };

async function passesWhole(access: 'mount' | 'block', where: Where): Promise<void> {
  const { output, passed, failed, skipped } = await runCsiSanity({ access, ...where });
  assert.deepEqual(failed, [], output);
  console.log(`      csi-sanity, ${access}: ${passed} passed, ${skipped.length} skipped`);
  const reasons = Map.groupBy(skipped, ({ reason }) => reason);
  for (const [reason, specs] of reasons) console.log(`        ${specs.length} skipped: ${reason}`);
  assert.deepEqual(
    skipped.filter(({ reason }) => !EXPECTED.test(reason)),
    [],
  );
  assert.ok(passed >= SPECS_MIN, `${passed} specs ran`);
}

describe('csi-sanity', function () {
  this.timeout(RUN_MS);
  before(() => buildCsiSanity().then(() => undefined));

  describe('against one machine alone', () => {
    const suite = csiSuite();
    for (const access of ['mount', 'block'] as const)
      it(`passes for ${access} access`, () =>
        passesWhole(access, {
          endpoint: `unix://${suite.engineSocket}`,
          directory: path.join(suite.engines.directory, access),
        }));
  });

  describe('against a controller, a node and an engine of their own', () => {
    const engines = engineSuite({ started: false });
    let where: Omit<Where, 'directory'>;
    before(async () => {
      const cluster = await ControllerAndNodes.start(engines, ['n1']);
      const node = await cluster.nodeService(engines, 'n1');
      where = {
        endpoint: `unix://${node.socket}`,
        controllerEndpoint: `unix://${cluster.controller.socket}`,
      };
    });
    for (const access of ['mount', 'block'] as const)
      it(`passes for ${access} access`, () =>
        passesWhole(access, { ...where, directory: path.join(engines.directory, access) }));
  });
});
