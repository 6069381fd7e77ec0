/**
 * The death of everything on a node at once, as when a node that is a container is killed: engine, node service and whatever
 * has volumes mounted. What unmounts them then writes to an engine that is gone, and must get an error, not wait.
 */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { mounts } from '../../src/sys/mount.ts';
import { abortConnections } from '../docker/fuse-connections.ts';
import { until } from '../support/commands.ts';
import { RoleProcess } from '../support/csi-roles.ts';
import { MiB } from '../support/disks.ts';
import { engineSuite } from '../support/engine-suite.ts';
import { makeFilesystem } from '../support/filesystems.ts';
import { KeptEngine } from '../support/kept-engine.ts';
import { childrenOf, runDirectoryOf } from '../support/standalone.ts';

/** Far more than an error takes, and less than for ever. */
const HANG_MS = 30_000;
/** Mounts, leaves something that is not written yet, and becomes what follows. */
const WITH_A_VOLUME = 'mount -t ext4 "$0" "$1" && echo something >"$1/file" && shift && exec "$@"';

describe('A container with a node service and a mounted volume', function () {
  this.timeout(120_000);
  const suite = engineSuite({ started: false });

  it('ends when it is killed whole, though the unmount waits for an engine that only it holds', async () => {
    const kept = new KeptEngine(suite);
    await kept.start();
    await kept.engine.createVolume({ name: 'data', sizeBytes: 64 * MiB });
    const device = await kept.engine.attachVolume('data');
    await makeFilesystem('ext4', device);
    const place = path.join(suite.directory, 'mounted');
    fs.mkdirSync(place);
    const container = ['unshare', '--mount', '--pid', '--fork', '--mount-proc', '--kill-child'];
    const node = await RoleProcess.start(suite, 'node', kept.nodeArgs, [
      ...container,
      ...['sh', '-c', WITH_A_VOLUME, device, place],
    ]);
    await kept.untilKept();
    const [inside] = childrenOf(node.pid);
    const run = `${runDirectoryOf(kept.pool)}/`;
    const filesystems = mounts().flatMap(({ directory, device }) =>
      directory.startsWith(run) ? device : [],
    );
    assert.equal(filesystems.length, 1);

    await kept.killAll();
    await node.kill();
    try {
      await until('all of the container has ended', () => !fs.existsSync(`/proc/${inside}`), HANG_MS);
    } catch (error) {
      // Else it would be there until the next boot, with all that it holds.
      await abortConnections(filesystems, suite.directory);
      throw error;
    }
    await kept.start();
    const volumes = await kept.engine.listVolumes();
    assert.deepEqual(
      volumes.map(({ name, state }) => [name, state]),
      [['data', 'online']],
    );
  });
});
