/**
 * What cannot be is refused, each with the error code that says why, and leaves nothing behind.
 */
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import type { ErrorCode } from '../../src/base/errors.ts';
import { DirectFile, KiB, MiB, SECTOR, TiB, withDirectFile } from '../support/disks.ts';
import { engineSuite, refused } from '../support/engine-suite.ts';

const SIZE = 16 * MiB;

describe('A request that cannot be', () => {
  const suite = engineSuite();

  /** All that a refused request could have left. */
  const everything = async (): Promise<unknown> => ({
    volumes: (await suite.engine.listVolumes()).map(({ name, state }) => [name, state]),
    mappings: (await suite.engine.listMappings()).map(({ name, state }) => [name, state]),
    // Not the bitmaps' files: those of other volumes are written anew now and then.
    files: readdirSync(`${suite.standalone.pool}/volumes`).sort(),
  });

  const refuses = (what: string, code: ErrorCode, ask: () => Promise<unknown>, says?: RegExp): void => {
    it(`is refused with ${code}: ${what}`, async () => {
      const before = await everything();
      const message = await refused(code, ask());
      if (says) assert.match(message, says);
      assert.deepEqual(await everything(), before);
    });
  };

  const create = (more: { name?: string; sizeBytes?: number; grainBytes?: number }) =>
    suite.engine.createVolume({ name: 'new', sizeBytes: SIZE, ...more });
  const map = (source: string, target: string) => suite.engine.createMapping({ name: 'new', source, target });

  before(async () => {
    const { engine } = suite;
    for (const name of ['source', 'target', 'free', 'spare'])
      await engine.createVolume({ name, sizeBytes: SIZE });
    await engine.createVolume({ name: 'small', sizeBytes: SIZE / 2 });
    await engine.createVolume({ name: 'coarse', sizeBytes: SIZE, grainBytes: 64 * KiB });
    await engine.createMapping({ name: 'plain', source: 'source', target: 'target', copyRate: 0 });
    await engine.startMappings(['plain']);
    await engine.createMapping({
      name: 'idle',
      source: 'source',
      target: 'spare',
      copyRate: 0,
      incremental: true,
    });
    await suite.snapshot('source', 'snap');
  });

  refuses('a volume of no size', 'InvalidArgument', () => create({ sizeBytes: 0 }), /size/);
  refuses('a size that is no multiple of 4096', 'InvalidArgument', () => create({ sizeBytes: 4097 }), /4096/);
  refuses('a size above 64 TiB', 'InvalidArgument', () => create({ sizeBytes: 64 * TiB + 4096 }));
  refuses('a volume larger than a file may be here', 'InvalidArgument', () =>
    create({ sizeBytes: 63 * TiB }),
  );
  refuses('growing a volume to less', 'InvalidArgument', () => suite.engine.growVolume('free', SIZE / 2));

  for (const grainBytes of [1024, 2048, 5000, 12 * KiB, 2 * MiB, -4096]) {
    refuses(`a grain of ${grainBytes} bytes`, 'InvalidArgument', () => create({ grainBytes }), /grain/);
  }

  const badNames = [
    '',
    'x'.repeat(129),
    '.',
    '..',
    '../up',
    'a/b',
    '/etc/passwd',
    '#7',
    'a\nb',
    'a\0b',
    '-rf',
  ];
  for (const name of badNames) {
    const shown = name.length > 20 ? `of ${name.length} characters` : JSON.stringify(name);
    refuses(`a volume's name ${shown}`, 'InvalidArgument', () => create({ name }), /name/);
  }
  for (const name of ['', '../up', 'x'.repeat(129)]) {
    const shown = JSON.stringify(name.slice(0, 9));
    const snapshot = () => suite.engine.createSnapshots([{ name, source: 'source' }]);
    refuses(`a snapshot's name ${shown}`, 'InvalidArgument', snapshot, /name/);
    const mapping = () => suite.engine.createMapping({ name, source: 'source', target: 'free' });
    refuses(`a mapping's name ${shown}`, 'InvalidArgument', mapping, /name/);
    refuses(`a clone's name ${shown}`, 'InvalidArgument', () =>
      suite.engine.cloneVolume('snap', { name, sizeBytes: 0 }),
    );
  }

  refuses('a name that has another volume', 'AlreadyExists', () =>
    create({ name: 'source', sizeBytes: 2 * SIZE }),
  );
  refuses(
    'a target smaller than the source',
    'InvalidArgument',
    () => map('source', 'small'),
    /grow the target/,
  );
  refuses('a target of another grain', 'InvalidArgument', () => map('source', 'coarse'), /grain/);
  refuses('a target that is one already', 'TargetInUse', () => map('free', 'target'));
  refuses('a target that is the source', 'InvalidArgument', () => map('source', 'source'));
  refuses('a target that its source was copied from', 'InvalidArgument', () => map('target', 'source'));
  refuses('a target that is a snapshot', 'InvalidArgument', () => map('free', 'snap'));
  for (const copyRate of [-1, 151]) {
    refuses(`copy rate ${copyRate}`, 'InvalidArgument', () =>
      suite.engine.createMapping({ name: 'new', source: 'source', target: 'free', copyRate }),
    );
  }
  refuses('a sync of a plain mapping', 'WrongState', () => suite.engine.syncMapping('plain'));
  refuses('a sync of a mapping that was never started', 'WrongState', () => suite.engine.syncMapping('idle'));
  refuses('deleting a mapping that is copying', 'WrongState', () =>
    suite.engine.deleteMapping('plain', false),
  );

  for (const name of ['nobody', '#999999', '#0', '#-1', '#1x', '../source', '']) {
    const shown = JSON.stringify(name);
    refuses(`volume ${shown}, which is not there`, 'VolumeNotFound', () => suite.engine.getVolume(name));
    refuses(`deleting volume ${shown}`, 'VolumeNotFound', () => suite.engine.deleteVolume(name));
    refuses(`attaching ${shown}`, 'VolumeNotFound', () => suite.engine.attachVolume(name));
    refuses(`mapping ${shown}, which is not there`, 'MappingNotFound', () => suite.engine.getMapping(name));
    refuses(`starting mapping ${shown}`, 'MappingNotFound', () => suite.engine.startMappings(['idle', name]));
  }
  refuses('a snapshot of nothing', 'VolumeNotFound', () =>
    suite.engine.createSnapshots([{ name: 'new', source: 'nobody' }]),
  );
  refuses('a group of which one member is missing', 'VolumeNotFound', () =>
    suite.engine.createSnapshots([
      { name: 'new', source: 'source' },
      { name: 'new-2', source: 'nobody' },
    ]),
  );
  refuses('a mapping from nothing', 'VolumeNotFound', () => map('nobody', 'free'));
  refuses('a mapping to nothing', 'VolumeNotFound', () => map('source', 'nobody'));

  it('is refused with Suspended: attaching a target whose copy was stopped half-way', async () => {
    const { engine } = suite;
    for (const name of ['half-source', 'half']) await engine.createVolume({ name, sizeBytes: SIZE });
    const device = await engine.attachVolume('half-source');
    await withDirectFile(device, 'write', (file) => file.write(0, Buffer.alloc(SECTOR, 1)));
    await engine.createMapping({ name: 'half', source: 'half-source', target: 'half', copyRate: 0 });
    await engine.startMappings(['half']);
    await engine.stopMapping('half');
    const message = await refused('Suspended', engine.attachVolume('half'));
    assert.match(message, /its copy was stopped half-way: start mapping half again/);
    await engine.startMappings(['half']);
    await engine.attachVolume('half');
    for (const name of ['half', 'half-source']) await engine.detachVolume(name);
  });

  it('is refused with VolumeInUse: deleting or detaching a volume that is open', async () => {
    const device = await suite.engine.attachVolume('free');
    const file = await DirectFile.open(device);
    const before = await everything();
    await refused('VolumeInUse', suite.engine.detachVolume('free'));
    await refused('VolumeInUse', suite.engine.deleteVolume('free'));
    assert.deepEqual(await everything(), before);
    await file.close();
    await suite.engine.detachVolume('free');
  });
});
