/**
 * The block devices of the volumes: loop devices over the files of the FUSE mount, with direct I/O and sectors of 4096.
 *
 * What is attached is read from the system each time. A loop device is ours if its backing file is named
 * <mount>/<volume id> and lies on the filesystem with our mount's device number: an engine that was killed with its
 * supervisor may have left devices on its own mount, of the same name. Those of other engines of this machine, in other
 * containers, have other names (run-dir.ts): nothing is asked about them. One of our name that does not say in time where its
 * file is counts as ours, so nobody's content is taken from under it; but who asks for a device is not given it.
 *
 * Everything that asks the mount, and everything that opens, closes or sets a device, happens in a process of its own:
 * it can wait for answers or for writeback that this engine has to give, and a thread of the engine that waited for
 * itself could not even be killed.
 */
import fs from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { FlashCopyError } from '../base/errors.ts';
import { Limit } from '../base/limit.ts';
import { mountAt } from '../sys/mount.ts';
import { run } from '../sys/run.ts';
import { type DeviceUser, looseAt, openersOf, userOfDevice, visibleMounts } from './device-users.ts';
import {
  attachLoop,
  backingFile,
  backingOf,
  type LoopDevice,
  loopDevices,
  sequenceOf,
} from './loop-devices.ts';

/** How long udev and others who look at a device for a moment may take to close it. */
const PASSING_MS = 2000;
const LOOK_AGAIN_MS = 50;
/** Processes at work for devices at the same time. */
const TOGETHER = 8;

export class Devices {
  private readonly mountDir: string;
  /** Whether an attachment is ours, by device and its sequence number: each new attachment has another. */
  private readonly verified = new Map<string, Promise<boolean>>();
  private readonly lookers = new Limit(TOGETHER);

  constructor(mountDir: string) {
    this.mountDir = mountDir;
  }

  /** The device of each attached volume. */
  async all(): Promise<Map<number, string>> {
    const named = loopDevices().filter((loop) => this.volumeIdOf(loop) !== undefined);
    const ours = await Promise.all(named.map((loop) => this.isOurs(loop).catch(mayBe)));
    return new Map(named.filter((_, i) => ours[i]).map((loop) => [this.volumeIdOf(loop)!, loop.device]));
  }

  /** Idempotent: an attached volume keeps its device. */
  async attach(volume: { id: number; name: string; kind: 'volume' | 'snapshot' }): Promise<string> {
    const named = loopDevices().filter((loop) => this.volumeIdOf(loop) === volume.id);
    for (const loop of named) if (await this.isOurs(loop)) return loop.device;
    return attachLoop(path.join(this.mountDir, String(volume.id)), volume.kind === 'snapshot');
  }

  /** Idempotent. The caller has looked that nobody uses it; who opens it meanwhile is noticed. */
  async detach(volume: { id: number; name: string }): Promise<void> {
    const device = (await this.all()).get(volume.id);
    if (device === undefined) return;
    const bound = looseAt(device);
    if (bound !== undefined)
      throw new FlashCopyError(
        'VolumeInUse',
        `Device ${device} of volume ${volume.name} is published at ${bound} and stays attached: its number must not become ` +
          'that of another volume. Unmount it there first.',
      );
    const sequence = sequenceOf(device);
    const { status, stderr } = await this.lookers.run(() => run('losetup', ['--detach', device]));
    const attached = () => backingFile(device) !== '' && sequenceOf(device) === sequence;
    for (let waitedMs = 0; attached(); waitedMs += LOOK_AGAIN_MS) {
      if (waitedMs >= PASSING_MS) {
        const user = (await this.userOf(volume.id)) ?? (status === 0 ? 'somebody uses it' : stderr.trim());
        throw new FlashCopyError(
          'VolumeInUse',
          `Device ${device} of volume ${volume.name} is not detached yet: ${user}. It goes away when that ends.`,
        );
      }
      await sleep(LOOK_AGAIN_MS);
    }
  }

  /** Makes an attached volume's device as large as the volume has become. */
  async resize(volume: { id: number; name: string; sizeBytes: number }): Promise<void> {
    const device = (await this.all()).get(volume.id);
    if (device === undefined) return;
    // Told otherwise than by this, the kernel would not believe the new size while the volume is written to.
    const file = path.join(this.mountDir, String(volume.id));
    const told = await run('truncate', ['--no-create', `--size=${volume.sizeBytes}`, file]);
    const { stderr } = await run('losetup', ['--set-capacity', device]);
    const sectors = Number(await fs.readFile(`/sys/block/${path.basename(device)}/size`, 'utf8'));
    if (sectors * 512 === volume.sizeBytes) return;
    throw new FlashCopyError(
      'IoError',
      `Volume ${volume.name} has grown to ${volume.sizeBytes} bytes, but its device ${device} has ${sectors * 512} ` +
        `(${[told.stderr, stderr].join(' ').trim()}). Detach and attach it again.`,
    );
  }

  /** Who uses the volume's device: 'it is mounted at /mnt'. Those who look at it only in passing are waited for. */
  async userOf(volumeId: number): Promise<string | undefined> {
    return (await this.usersOf([volumeId])).get(volumeId);
  }

  /** The same for many volumes, of which those in use are told. */
  async usersOf(volumeIds: number[]): Promise<Map<number, string>> {
    for (let waitedMs = 0; ; waitedMs += LOOK_AGAIN_MS) {
      const devices = await this.all();
      const attached = volumeIds.filter((id) => devices.has(id));
      if (attached.length === 0) return new Map();
      const openers = await openersOf(new Set(attached.map((id) => devices.get(id)!)));
      const seen = visibleMounts();
      const users = new Map<number, DeviceUser>();
      for (const id of attached) {
        const device = devices.get(id)!;
        const user = await userOfDevice(device, openers.get(device), seen);
        if (user !== undefined) users.set(id, user);
      }
      const passing = [...users.values()].some((user) => user.passing);
      if (!passing || waitedMs >= PASSING_MS) return new Map([...users].map(([id, user]) => [id, user.what]));
      await sleep(LOOK_AGAIN_MS);
    }
  }

  private volumeIdOf({ file }: LoopDevice): number | undefined {
    const name = path.basename(file);
    return path.dirname(file) === this.mountDir && /^[1-9]\d*$/.test(name) ? Number(name) : undefined;
  }

  /** Fails when it does not say so in time. */
  private isOurs({ device }: LoopDevice): Promise<boolean> {
    const key = `${device} ${sequenceOf(device)}`;
    const known = this.verified.get(key);
    if (known !== undefined) return known;
    const looking = this.lookers.run(async () => {
      const backing = await backingOf(device);
      const ours = backing !== undefined && backing === mountAt(this.mountDir)?.device;
      // What is not ours now is looked at again the next time.
      if (!ours) this.verified.delete(key);
      return ours;
    });
    this.verified.set(key, looking);
    looking.catch(() => this.verified.delete(key));
    return looking;
  }
}

/** What does not answer is asked again the next time. */
function mayBe(error: unknown): boolean {
  if (error instanceof FlashCopyError && error.code === 'Unavailable') return true;
  throw error;
}
