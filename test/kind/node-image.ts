/**
 * The image of kind's nodes, made of Debian's packages, kind's own files and Kubernetes as the cluster test builds it, for
 * where kind's image cannot be pulled. The images that the cluster and the driver's chart start from are in it.
 */
import fs from 'node:fs/promises';
import path from 'node:path';
import { buildBinaries, SIDECARS, sourcesOf } from '../cluster/harness/binaries.ts';
import type { Docker } from '../docker/docker.ts';
import { withBuilder } from '../image/build-image.ts';
import { cached, contentKey } from '../support/cache.ts';
import { run } from '../support/commands.ts';
import { buildCoredns } from './coredns.ts';

const here = path.join(import.meta.dirname, 'node');
const BUILD_MS = 900_000;
const NODE_IMAGE = 'localhost/kind-node:test';

/** `published`: the names of images that nothing here builds under those names, of programs that the cluster test builds. */
export async function nodeImage(published: readonly string[]): Promise<{ tar: string; name: string }> {
  const binaries = await buildBinaries();
  const coredns = await buildCoredns();
  const words = [binaries, coredns].map((built) => path.basename(built)).concat(published);
  const key = contentKey(['test/kind/node', 'test/kind/node-image.ts', 'test/image/stand-ins.ts'], words);
  const tar = await cached('kind-node', key, (target) =>
    withBuilder((docker) => new NodeImage(docker, binaries, coredns).build(published, target)),
  );
  return { tar, name: NODE_IMAGE };
}

class NodeImage {
  readonly #docker: Docker;
  readonly #binaries: string;
  readonly #coredns: string;
  readonly #context: string;

  constructor(docker: Docker, binaries: string, coredns: string) {
    this.#docker = docker;
    this.#binaries = binaries;
    this.#coredns = coredns;
    this.#context = path.join(docker.directory, 'node');
  }

  async build(published: readonly string[], target: string): Promise<void> {
    const context = this.#context;
    await fs.cp(here, context, { recursive: true });
    await fs.mkdir(path.join(context, 'images'));
    for (const program of ['hyperkube', ...SIDECARS])
      await fs.copyFile(path.join(this.#binaries, program), path.join(context, program));
    await fs.copyFile(this.#coredns, path.join(context, 'coredns'));
    await fs.cp(
      path.join(await sourcesOf('sigs.k8s.io/kind'), 'images/base/files'),
      path.join(context, 'kind'),
      {
        recursive: true,
      },
    );
    await run('chmod', ['-R', 'u+w', context]);

    const version = (await run(path.join(this.#binaries, 'kubelet'), ['--version']))
      .trim()
      .split(' ')
      .at(-1)!;
    const pause = await this.#kubernetesImages(version);
    for (const name of published) await this.#sidecarImage(name);
    const args = ['--build-arg', `KUBERNETES_VERSION=${version}`, '--build-arg', `PAUSE_IMAGE=${pause}`];
    await this.#build('node.Dockerfile', [...args, '--tag', NODE_IMAGE]);
    await this.#docker.run('docker', ['save', '--output', target, NODE_IMAGE], { timeoutMs: BUILD_MS });
  }

  /** Under the names that kubeadm looks for. The name of that which keeps a pod's namespaces. */
  async #kubernetesImages(version: string): Promise<string> {
    const kubeadm = path.join(this.#binaries, 'kubeadm');
    const list = await run(kubeadm, ['config', 'images', 'list', '--kubernetes-version', version]);
    const names = list.trim().split('\n');
    const pause = names.find((name) => /\/pause:/.test(name));
    if (pause === undefined) throw new Error(`kubeadm names no pause image: ${list}`);
    const nameServers = names.filter((name) => /\/coredns:/.test(name));
    const components = names.filter((name) => name !== pause && !nameServers.includes(name));
    await this.#imageOf('kube', [...components, 'localhost/kube:test']);
    await this.#imageOf('pause', [pause]);
    for (const name of nameServers) await this.#programImage('coredns', name);
    return pause;
  }

  async #imageOf(stage: string, names: readonly string[]): Promise<void> {
    await this.#build('kube.Dockerfile', ['--target', stage, ...names.flatMap((name) => ['--tag', name])]);
    await this.#save(stage, names);
  }

  async #sidecarImage(name: string): Promise<void> {
    if (name.startsWith('busybox:')) return this.#imageOf('busybox', [name]);
    const program = SIDECARS.find((sidecar) => name.includes(`/${sidecar}:`));
    if (program === undefined) throw new Error(`the cluster test builds no program of the image ${name}`);
    await this.#programImage(program, name);
  }

  async #programImage(program: string, name: string): Promise<void> {
    const args = ['--target', 'program', '--build-arg', `PROGRAM=${program}`, '--tag', name];
    await this.#build('kube.Dockerfile', args);
    await this.#save(program, [name]);
  }

  async #build(file: string, args: readonly string[]): Promise<void> {
    const dockerfile = path.join(this.#context, file);
    await this.#docker.run('docker', ['build', '--file', dockerfile, ...args, this.#context], {
      timeoutMs: BUILD_MS,
    });
  }

  async #save(name: string, images: readonly string[]): Promise<void> {
    const tar = path.join(this.#context, 'images', `${name}.tar`);
    await this.#docker.run('docker', ['save', '--output', tar, ...images], { timeoutMs: BUILD_MS });
  }
}
