/**
 * What "helm test" runs, in the driver's own image: a claim is written to, a snapshot taken, the claim overwritten, the
 * snapshot restored. The restored volume has to have the content of then, the source that of now.
 *
 *   node helm-test.mjs                     all of that; uses the pod's service account
 *   node helm-test.mjs write|verify SEED   what the pods with the volumes do: content that follows from the seed
 *
 * Fails with the reason and the events of what is not as it should be. Removes what it made, however it ends.
 */
import { createHash } from 'node:crypto';
import { closeSync, fsyncSync, openSync, readFileSync, writeSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

const FILE = '/volume/content';
const BLOCKS = 256;
const BLOCK_BYTES = 32768;

function* contentOf(seed) {
  for (let i = 0; i < BLOCKS; i += 1) {
    const block = createHash('shake256', { outputLength: BLOCK_BYTES }).update(`${seed} ${i}`).digest();
    yield { block, at: i * BLOCK_BYTES };
  }
}

function write(seed) {
  const fd = openSync(FILE, 'w');
  for (const { block, at } of contentOf(seed)) writeSync(fd, block, 0, block.length, at);
  fsyncSync(fd);
  closeSync(fd);
}

function verify(seed) {
  const found = readFileSync(FILE);
  if (found.length !== BLOCKS * BLOCK_BYTES) throw new Error(`${FILE} has ${found.length} bytes`);
  for (const { block, at } of contentOf(seed)) {
    if (!found.subarray(at, at + block.length).equals(block))
      throw new Error(`${FILE} differs from what was written, from byte ${at} to ${at + block.length}`);
  }
}

const env = (name) => process.env[name] ?? '';
const account = '/var/run/secrets/kubernetes.io/serviceaccount';
const host = env('KUBERNETES_SERVICE_HOST');
const server = `https://${host.includes(':') ? `[${host}]` : host}:${env('KUBERNETES_SERVICE_PORT')}`;
const namespace = env('NAMESPACE');
const timeoutMs = Number(env('TIMEOUT_SECONDS')) * 1000;
const end = Date.now() + timeoutMs;
/** For what was made to go away again. */
const REMOVE_MS = 60_000;
const run = `flashcopy-test-${Date.now().toString(36)}`;
const core = `/api/v1/namespaces/${namespace}`;
const kinds = {
  Pod: `${core}/pods`,
  PersistentVolumeClaim: `${core}/persistentvolumeclaims`,
  VolumeSnapshot: `/apis/snapshot.storage.k8s.io/v1/namespaces/${namespace}/volumesnapshots`,
};

async function ask(method, path, body) {
  const answer = await fetch(server + path, {
    method,
    headers: {
      authorization: `Bearer ${readFileSync(`${account}/token`, 'utf8')}`,
      'content-type': 'application/json',
    },
    signal: AbortSignal.timeout(30_000),
    ...(body && { body: JSON.stringify(body) }),
  });
  const said = await answer.json();
  if (answer.ok) return said;
  throw Object.assign(new Error(`${method} ${path}: ${said.message ?? answer.status}`), {
    status: answer.status,
  });
}

const made = [];

async function create(kind, name, spec, apiVersion = 'v1') {
  const metadata = { name: `${run}-${name}`, labels: { 'app.kubernetes.io/part-of': 'flashcopy-csi-test' } };
  made.unshift({ kind, name: metadata.name });
  await ask('POST', kinds[kind], { apiVersion, kind, metadata, spec });
  return metadata.name;
}

/** Until `done` says so; it throws when that cannot become true any more. */
async function waitFor(kind, name, what, done) {
  for (;;) {
    const object = await ask('GET', `${kinds[kind]}/${name}`);
    if (done(object)) return object;
    if (Date.now() > end) {
      const status = JSON.stringify(object.status);
      throw new Error(`${kind} ${name} is not ${what}, ${timeoutMs / 1000} s after the beginning: ${status}`);
    }
    await sleep(500);
  }
}

const claim = (name, dataSource) =>
  create('PersistentVolumeClaim', name, {
    accessModes: ['ReadWriteOnce'],
    storageClassName: env('STORAGE_CLASS'),
    resources: { requests: { storage: env('SIZE') } },
    ...(dataSource && { dataSource }),
  });

/** A pod with that claim does it; its exit code tells. */
async function inPod(name, claimName, ...args) {
  const pod = await create('Pod', name, {
    restartPolicy: 'Never',
    terminationGracePeriodSeconds: 1,
    automountServiceAccountToken: false,
    ...JSON.parse(env('POD_SPEC')),
    containers: [
      {
        name: 'test',
        image: env('IMAGE'),
        imagePullPolicy: env('PULL_POLICY'),
        command: ['node', '/test/helm-test.mjs', ...args],
        terminationMessagePolicy: 'FallbackToLogsOnError',
        securityContext: {
          allowPrivilegeEscalation: false,
          readOnlyRootFilesystem: true,
          capabilities: { drop: ['ALL'] },
        },
        volumeMounts: [
          { name: 'test', mountPath: '/test' },
          { name: 'volume', mountPath: '/volume' },
        ],
      },
    ],
    volumes: [
      { name: 'test', configMap: { name: env('CONFIG_MAP') } },
      { name: 'volume', persistentVolumeClaim: { claimName } },
    ],
  });
  await waitFor('Pod', pod, 'through', ({ status }) => {
    if (status.phase !== 'Failed') return status.phase === 'Succeeded';
    const why = status.containerStatuses?.[0]?.state?.terminated?.message ?? status.message;
    throw new Error(`the pod ${pod} failed: ${why}`);
  });
}

async function step(what, body) {
  const began = Date.now();
  const result = await body();
  console.log(`${what}: ${((Date.now() - began) / 1000).toFixed(1)} s`);
  return result;
}

async function all() {
  const source = await claim('source');
  await step('a new volume is written to', () => inPod('write', source, 'write', 'first'));
  const snapshot = await step('a snapshot is ready', async () => {
    const spec = {
      volumeSnapshotClassName: env('SNAPSHOT_CLASS'),
      source: { persistentVolumeClaimName: source },
    };
    const name = await create('VolumeSnapshot', 'snapshot', spec, 'snapshot.storage.k8s.io/v1');
    await waitFor('VolumeSnapshot', name, 'ready', ({ status }) => status?.readyToUse === true);
    return name;
  });
  await step('the volume is overwritten', () => inPod('overwrite', source, 'write', 'second'));
  const dataSource = { apiGroup: 'snapshot.storage.k8s.io', kind: 'VolumeSnapshot', name: snapshot };
  const restored = await claim('restored', dataSource);
  await step('the restored snapshot has what was written first', () =>
    inPod('verify-restored', restored, 'verify', 'first'),
  );
  await step('the volume has what was written last', () => inPod('verify', source, 'verify', 'second'));
}

async function events() {
  const { items } = await ask('GET', `${core}/events`);
  const ours = items.filter(({ involvedObject }) => involvedObject.name?.startsWith(run));
  return ours.map(
    ({ involvedObject: { kind, name }, reason, message }) => `  ${kind} ${name}: ${reason}: ${message}`,
  );
}

/** Pods first, then what they used: in the reverse order of their making. */
async function removeAll() {
  const until = Date.now() + REMOVE_MS;
  for (const { kind, name } of made) {
    while (!(await isGone(`${kinds[kind]}/${name}`))) {
      if (Date.now() > until) throw new Error(`${kind} ${name} does not go away after ${REMOVE_MS / 1000} s`);
      await sleep(500);
    }
  }
}

async function isGone(path) {
  try {
    await ask('DELETE', path);
    return false;
  } catch (error) {
    if (error.status === 404) return true;
    throw error;
  }
}

async function main() {
  const stopped = new Promise((_resolve, reject) => {
    process.once('SIGTERM', () => reject(new Error('told to end')));
  });
  try {
    await Promise.race([all(), stopped]);
    await step('all is removed', removeAll);
    console.log('The driver works.');
    process.exit(0);
  } catch (error) {
    console.log(`${error.message}\n${(await events()).join('\n')}`);
    await removeAll();
    process.exit(1);
  }
}

const [what, seed] = process.argv.slice(2);
if (what === 'write') write(seed);
else if (what === 'verify') verify(seed);
else await main();
