/** What the API server itself makes of the custom resources: defaults, what it refuses and why, and what kubectl shows. */
import assert from 'node:assert/strict';
import type { KubeObject } from './harness/kubectl.ts';
import { scene } from './harness/scene.ts';

const custom = (kind: string, name: string, spec: object): KubeObject => ({
  apiVersion: 'flashcopy.dev/v1alpha1',
  kind,
  metadata: { name },
  spec,
});
const mapping = (name: string, more: object = {}) =>
  custom('FlashCopyMapping', name, { source: { claimName: 'a' }, target: { claimName: 'b' }, ...more });
const sync = (name: string, more: object = {}) =>
  custom('FlashCopySync', name, { mappingName: 'm', ...more });
const schedule = (name: string, more: object = {}) =>
  custom('FlashCopySchedule', name, { schedule: '0 3 * * *', suspend: true, ...more });
const snapshots = { matchLabels: { backup: 'yes' } };

describe('The API server', () => {
  const at = scene('custom-resources');

  /** What kubectl says when it is refused. */
  async function refused(object: KubeObject): Promise<string> {
    try {
      await at.apply(object);
    } catch (error) {
      return (error as Error).message;
    }
    throw new Error(`${object.kind} ${object.metadata.name} was accepted: ${JSON.stringify(object.spec)}`);
  }

  it('fills in what is not said', async () => {
    await at.apply(mapping('m'), sync('s'), schedule('c', { snapshots }));
    const { spec } = await at.get('flashcopymapping', 'm');
    assert.deepEqual(
      { copyRate: spec.copyRate, incremental: spec.incremental, onDelete: spec.onDelete },
      { copyRate: 50, incremental: true, onDelete: 'Finish' },
    );
    const { spec: ofSync } = await at.get('flashcopysync', 's');
    assert.deepEqual([ofSync.whenInUse, ofSync.freeze], ['Wait', false]);
    const { spec: ofSchedule } = await at.get('flashcopyschedule', 'c');
    assert.deepEqual([ofSchedule.timeZone, ofSchedule.retention, ofSchedule.historyLimit], ['Etc/UTC', { keepLast: 7 }, 10]); // biome-ignore format: one line
  });

  const refusals: [string, KubeObject, RegExp][] = [
    ['a copy rate above 150', mapping('x', { copyRate: 151 }), /copyRate.*less than or equal to 150/],
    ['a claim as a copy of itself', mapping('x', { target: { claimName: 'a' } }), /source and target are the same claim/],
    ['a word that onDelete does not know', mapping('x', { onDelete: 'Keep' }), /Unsupported value: "Keep".*"Discard"/],
    ['a mapping without a target', custom('FlashCopyMapping', 'x', { source: { claimName: 'a' } }), /target.*Required/],
    ['a field that there is not', mapping('x', { rate: 5 }), /unknown field "spec.rate"/],
    ['a sync of no mapping', custom('FlashCopySync', 'x', {}), /mappingName.*Required/],
    ['a timeout without a unit', sync('x', { timeout: '30' }), /timeout.*should match/],
    ['a schedule of four fields', schedule('x', { schedule: '0 3 * *', snapshots }), /schedule.*should match/],
    ['a schedule of nothing', schedule('x'), /name either snapshots or sync/],
    ['a schedule of both', schedule('x', { snapshots, sync: { mappingName: 'm' } }), /name either snapshots or sync/],
    ['a retention of nothing', schedule('x', { snapshots, retention: { keepLast: 0 } }), /keepLast.*greater than or equal to 1/],
    ['a name that is too long for what it makes', schedule('x'.repeat(53), { snapshots }), /at most 52 characters/],
  ]; // biome-ignore format: a table
  for (const [what, object, pattern] of refusals)
    it(`refuses ${what}`, async () => {
      assert.match(await refused(object), pattern);
    });

  it('refuses to change what must not change, and lets change what may', async () => {
    assert.match(await refused(mapping('m', { source: { claimName: 'c' } })), /cannot be changed/);
    assert.match(await refused(mapping('m', { target: { claimName: 'c' } })), /cannot be changed/);
    assert.match(await refused(mapping('m', { incremental: false })), /cannot be changed/);
    assert.match(await refused(sync('s', { mappingName: 'other' })), /cannot be changed/);
    await at.apply(mapping('m', { copyRate: 0, onDelete: 'Discard' }), sync('s', { whenInUse: 'Fail' }));
  });

  it('takes the short forms of cron', async () => {
    for (const [i, text] of ['@daily', '*/5 0-6 1,15 JAN-MAR MON', '0 0 L * *'].entries())
      await at.apply(schedule(`cron-${i}`, { schedule: text, snapshots }));
  });

  it('explains every field', async () => {
    for (const kind of ['flashcopymapping', 'flashcopysync', 'flashcopyschedule']) {
      const text = await at.kubectl('explain', `${kind}`, '--recursive=false');
      assert.match(text, /GROUP:\s+flashcopy\.dev/);
      assert.ok(!/<no description>|<empty>/.test(await at.kubectl('explain', `${kind}.spec`)));
      assert.ok(!/<no description>|<empty>/.test(await at.kubectl('explain', `${kind}.status`)));
    }
    assert.match(await at.kubectl('explain', 'fcm.spec.copyRate'), /1-10 is 128 KiB\/s/);
  });

  it('knows the short names, and shows what matters in columns', async () => {
    const header = async (kind: string) => (await at.kubectl('get', kind)).split('\n')[0]!.split(/\s{2,}/);
    assert.deepEqual(await header('fcm'), ['NAME', 'SOURCE', 'TARGET', 'STATE', 'PROGRESS', 'POINT-IN-TIME', 'AGE']); // biome-ignore format: one line
    assert.deepEqual(await header('fcs'), ['NAME', 'MAPPING', 'PHASE', 'PROGRESS', 'COPIED', 'SKIPPED', 'AGE']); // biome-ignore format: one line
    assert.deepEqual((await header('fcsched')).slice(0, 4), ['NAME', 'SCHEDULE', 'TIME ZONE', 'SUSPEND']);
    assert.match(await at.kubectl('get', 'flashcopy'), /flashcopymapping\.flashcopy\.dev\/m/);
  });

  it('says on a mapping of claims that are not there what is wrong, and lets it be deleted', async () => {
    await at.wait(
      'flashcopymapping/m',
      'jsonpath={.status.conditions[?(@.type=="Ready")].reason}=ClaimMissing',
    );
    assert.match(
      await at.kubectl('describe', 'flashcopymapping', 'm'),
      /ClaimMissing.*source claim a does not exist/,
    );
    await at.delete('flashcopymapping', 'm');
  });
});
