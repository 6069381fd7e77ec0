/**
 * A real Kubernetes on this machine: a control plane and two nodes, each in namespaces of its own, in one directory.
 *
 * `Cluster.start` is for the program that owns it; what tests use it gets from `runningCluster`.
 */
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { loopDevices } from '../../../src/engine/loop-devices.ts';
import { cgroupsNamed, removeCgroups } from '../../docker/cgroups.ts';
import { detachRecorded, recordLoopDevices } from '../../docker/loop-devices.ts';
import { locked } from '../../support/cache.ts';
import type { Cleanup } from '../../support/cleanup.ts';
import { until } from '../../support/commands.ts';
import { GiB } from '../../support/disks.ts';
import { buildBinaries } from './binaries.ts';
import { makeCertificates, makeKubeconfig, startControlPlane } from './control-plane.ts';
import { makeImages } from './images.ts';
import { apply, kubectl } from './kubectl.ts';
import { Node } from './node.ts';
import { type NodeSpec, writeNodeFiles, writeProxyFile } from './node-files.ts';
import { Site } from './site.ts';

const NAME = /^flashcopy-cluster-(?<pid>\d+)$/;
const NODES = ['node-1', 'node-2'];
const START_MS = 180_000;
const DISK_BYTES = 8 * GiB;

type Facts = { name: string; directory: string; binaries: string; images: string[]; init: number };

export class Cluster {
  readonly directory: string;
  readonly binaries: string;
  readonly site: Site;
  readonly nodes: readonly Node[];
  /** Where the engines keep their volumes: a path that only this cluster's have. */
  readonly poolDir: string;
  readonly #images: readonly string[];

  constructor({ name, directory, binaries, images, init }: Facts) {
    this.directory = directory;
    this.binaries = binaries;
    this.site = new Site(name, init);
    this.nodes = nodeSpecs(directory).map((spec) => new Node(spec, this.site, binaries));
    this.poolDir = poolDirOf(name);
    this.#images = images;
  }

  /** `projectImage`: a tar that the nodes get besides the others. */
  static async start(cleanup: Cleanup, projectImage: string): Promise<Cluster> {
    await locked('cluster-left-overs', removeLeftOvers);
    const binaries = await buildBinaries();
    const imageDirectory = await makeImages(binaries);
    const tars = fs.readdirSync(imageDirectory).map((name) => path.join(imageDirectory, name));
    const name = `flashcopy-cluster-${process.pid}`;
    const directory = path.join(os.tmpdir(), name);
    fs.mkdirSync(directory, { mode: 0o700 });
    cleanup.defer(`remove ${directory}`, () => fs.rmSync(directory, { recursive: true }));
    cleanup.defer('detach what is left of loop devices', () => detachRecorded(directory));
    const site = await Site.start(cleanup, name, directory);
    recordLoopDevices(cleanup, directory, isOnPool(poolDirOf(name)));

    const facts = { name, directory, binaries, images: [...tars, projectImage], init: site.init };
    fs.writeFileSync(path.join(directory, 'cluster.json'), JSON.stringify(facts));
    const cluster = new Cluster(facts);
    await makeCertificates(cluster);
    await Promise.all([
      startControlPlane(site, cluster),
      ...nodeSpecs(directory).map((spec) => cluster.#startNew(spec)),
    ]);
    // A kubelet that tells about CSI before its node is known tries that again after 20 s, and then after two minutes.
    await apply(
      cluster,
      cluster.nodes.map(({ name }) => nodeObject(name)),
    );
    for (const node of cluster.nodes) node.startKubelet();
    // A driver that comes before a node has told who it is has to wait for minutes.
    await until('the nodes are ready', () => nodesAreReady(cluster), START_MS, 300);
    return cluster;
  }

  async #startNew(spec: NodeSpec): Promise<void> {
    await writeNodeFiles(spec, path.join(this.directory, 'pki/ca.crt'));
    const kubelet = path.relative(this.directory, path.join(spec.directory, 'kubelet.conf'));
    await makeKubeconfig(this, kubelet, `system:node:${spec.name}`, 'system:nodes');
    writeProxyFile(spec, path.join(this.directory, 'kube-proxy.conf'));
    const node = this.node(spec.name);
    await node.start();
    await node.importImages(this.#images);
  }

  /** Those of its engines that there are on this machine. */
  loopDevices(): string[] {
    return loopDevices()
      .filter(isOnPool(this.poolDir))
      .map(({ device }) => device);
  }

  node(name: string): Node {
    const node = this.nodes.find((candidate) => candidate.name === name);
    if (node === undefined) throw new Error(`there is no node ${name}`);
    return node;
  }
}

/** The cluster that the program which started these tests has started. */
export function runningCluster(): Cluster {
  const directory = process.env['FLASHCOPY_CLUSTER'];
  if (directory === undefined) throw new Error('there is no cluster: npm run test:cluster starts one');
  return new Cluster(JSON.parse(fs.readFileSync(path.join(directory, 'cluster.json'), 'utf8')) as Facts);
}

async function nodesAreReady(cluster: Cluster): Promise<boolean> {
  const condition = '{.status.conditions[?(@.type=="Ready")].status}';
  const args = ['get', 'nodes', '-o', `jsonpath={range .items[*]}${condition}{"\\n"}{end}`];
  const ready = (await kubectl(cluster, args)).split('\n').filter((status) => status === 'True');
  return ready.length === cluster.nodes.length;
}

const nodeObject = (name: string) => ({
  apiVersion: 'v1',
  kind: 'Node',
  metadata: { name, labels: { 'kubernetes.io/hostname': name } },
});

const poolDirOf = (name: string): string => `/var/lib/flashcopy/${name}`;

/** Where an engine mounts its files has a name that is made of its pool's. */
function isOnPool(poolDir: string): (device: { file: string }) => boolean {
  const pool = createHash('sha256').update(poolDir).digest('hex').slice(0, 12);
  return ({ file }) => file.includes(`/${pool}/`);
}

const nodeSpecs = (directory: string): NodeSpec[] =>
  NODES.map((name, index) => ({
    name,
    number: index + 1,
    directory: path.join(directory, name),
    diskBytes: DISK_BYTES,
  }));

/** Of clusters whose owner died without undoing what it did: their processes died with it. */
async function removeLeftOvers(): Promise<void> {
  const left = (name: string) => {
    const pid = NAME.exec(name)?.groups?.['pid'];
    return pid !== undefined && !fs.existsSync(`/proc/${pid}`);
  };
  const directories = fs
    .readdirSync(os.tmpdir())
    .filter(left)
    .map((name) => path.join(os.tmpdir(), name));
  // What of them could not end, for want of an engine's answer, can then.
  for (const directory of directories) await detachRecorded(directory);
  for (const name of cgroupsNamed(NAME).filter(left)) await removeCgroups(name);
  for (const directory of directories) fs.rmSync(directory, { recursive: true });
}
