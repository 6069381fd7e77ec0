/** The engine and the node service of a node tell Prometheus and kubelet how they are, and it is true. */
import assert from 'node:assert/strict';
import { until } from '../support/commands.ts';
import { freePort, RoleProcess } from '../support/csi-roles.ts';
import { ask, refusedWith } from '../support/csi-suite.ts';
import { MiB } from '../support/disks.ts';
import { engineSuite } from '../support/engine-suite.ts';

async function get(port: number, path: string): Promise<{ status: number; text: string }> {
  const response = await fetch(`http://127.0.0.1:${port}${path}`);
  return { status: response.status, text: await response.text() };
}

/** "name{labels}" to value. */
async function metricsAt(port: number): Promise<Map<string, number>> {
  const { status, text } = await get(port, '/metrics');
  assert.equal(status, 200, text);
  const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return new Map(
    lines.map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ')))]),
  );
}

describe('What engine and node service tell of themselves', function () {
  this.timeout(60_000);
  const suite = engineSuite({ started: false });
  let enginePort: number;
  let nodePort: number;
  let node: RoleProcess;

  before(async () => {
    enginePort = await freePort();
    nodePort = await freePort();
    await suite.start(undefined, ['--metrics-listen', `127.0.0.1:${enginePort}`], 'engine');
    const { endpoint } = suite.standalone;
    const listen = ['--metrics-listen', `127.0.0.1:${nodePort}`];
    node = await RoleProcess.start(suite, 'node', [
      '--endpoint',
      `unix://${endpoint}`,
      '--node-id',
      'n1',
      ...listen,
    ]);
  });

  it('is the pool, each volume and each mapping, and what was done', async () => {
    const { engine } = suite;
    await engine.createVolume({ name: 'data', sizeBytes: 16 * MiB, labels: { 'csi/pvc-name': 'claim' } });
    await engine.createVolume({ name: 'copy', sizeBytes: 16 * MiB });
    for (const name of ['s1', 's2']) await suite.snapshot('data', name);
    await engine.createMapping({ name: 'nightly', source: 'data', target: 'copy', incremental: true });
    await engine.startMappings(['nightly']);
    const seen = await metricsAt(enginePort);
    const expected = {
      flashcopy_pool_volumes: 2,
      flashcopy_pool_snapshots: 2,
      flashcopy_pool_mappings: 1,
      flashcopy_pool_provisioned_bytes: 64 * MiB,
      flashcopy_volumes_suspended: 0,
      flashcopy_snapshots_broken: 0,
      'flashcopy_volume_size_bytes{volume="data"}': 16 * MiB,
      'flashcopy_volume_online{volume="data"}': 1,
      'flashcopy_volume_snapshots{volume="data"}': 2,
      'flashcopy_mapping_size_bytes{mapping="nightly"}': 16 * MiB,
      flashcopy_cuts_total: 3,
      flashcopy_engine_restarts_total: 0,
    };
    for (const [name, value] of Object.entries(expected)) assert.equal(seen.get(name), value, name);
    for (const name of ['pool_size_bytes', 'pool_free_bytes', 'cut_pause_longest_seconds'])
      assert.ok(seen.get(`flashcopy_${name}`)! > 0, name);
    assert.ok(
      [...seen.keys()].some((name) => /volume_info\{.*"data".*persistentvolumeclaim="claim"/.test(name)),
    );
    assert.ok(![...seen.keys()].some((name) => name.includes('"s1"')), 'no series for a snapshot');
    await engine.deleteSnapshot('s1');
    await engine.deleteMapping('nightly', true);
    const later = await metricsAt(enginePort);
    assert.equal(later.get('flashcopy_volume_snapshots{volume="data"}'), 1);
    assert.ok(![...later.keys()].some((name) => name.includes('"nightly"')), 'what is deleted is gone');
  });

  it('is how often the engine was started again, and why', async () => {
    await suite.standalone.killChild();
    await until('it tells of its restart', async () => {
      const seen = await metricsAt(enginePort).catch(() => new Map<string, number>());
      return seen.get('flashcopy_engine_restarts_total') === 1 ? seen : undefined;
    });
    const seen = await metricsAt(enginePort);
    const at = seen.get('flashcopy_engine_last_restart_timestamp_seconds{reason="SIGKILL"}')!;
    assert.ok(Math.abs(at * 1000 - Date.now()) < 60_000);
  });

  it('is each CSI call by its end, and how long they took', async () => {
    await ask(node.client.node, 'nodeGetInfo', {});
    await refusedWith('INVALID_ARGUMENT', ask(node.client.node, 'nodeStageVolume', {}));
    const seen = await metricsAt(nodePort);
    assert.equal(seen.get('flashcopy_csi_calls_total{method="Node/NodeGetInfo",code="OK"}'), 1);
    assert.equal(
      seen.get('flashcopy_csi_calls_total{method="Node/NodeStageVolume",code="INVALID_ARGUMENT"}'),
      1,
    );
    assert.equal(seen.get('flashcopy_csi_call_duration_seconds_count{method="Node/NodeGetInfo"}'), 1);
  });

  it('is well while all is well, and for the node service not ready without its engine', async () => {
    for (const port of [enginePort, nodePort])
      for (const path of ['/healthz', '/readyz'])
        assert.deepEqual(await get(port, path), { status: 200, text: 'ok\n' });
    await suite.standalone.stop();
    const { status, text } = await get(nodePort, '/readyz');
    assert.deepEqual([status, /No engine answers/.test(text)], [503, true], text);
    assert.deepEqual(await get(nodePort, '/healthz'), { status: 200, text: 'ok\n' });
  });
});
