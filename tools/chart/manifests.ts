/**
 * The plain manifests in deploy/, rendered from the chart for those without helm.
 *
 * Rendering needs helm, which is built with Go. So that drift is seen everywhere, the file tells two hashes: of what it was
 * rendered from, and of itself. Only where they do not fit is it rendered anew. The chart's tests always render it.
 */
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { buildHelm } from '../../test/cluster/harness/helm.ts';
import { run } from '../../test/support/commands.ts';

const root = path.resolve(import.meta.dirname, '../..');
const CHART = 'charts/flashcopy-csi';
export const MANIFESTS = 'deploy/flashcopy-csi.yaml';
/** What does not get into them. */
const UNRENDERED =
  /^(README\.md|values\.schema\.json|files\/.*|templates\/(tests|monitoring)\/.*|templates\/NOTES\.txt)$/;

const OPTIONS = [
  ...['--namespace', 'flashcopy-system', '--skip-tests', '--kube-version', 'v1.36.0'],
  ...['--set', 'snapshotCrds.check=false,crds.install=false,groupSnapshots.enabled=never'],
  ...['--set', 'tls.source=secrets,tls.secrets.controller=flashcopy-csi-controller-tls'],
  ...['--set', 'tls.secrets.engine=flashcopy-csi-engine-tls'],
];

/** Whether the committed file is what the committed chart gives, as far as can be told without rendering. */
export function manifestsFit(): boolean {
  const file = path.join(root, MANIFESTS);
  if (!existsSync(file)) return false;
  const text = readFileSync(file, 'utf8');
  const [, sources, own] = /^# sources ([0-9a-f]{64}), content ([0-9a-f]{64})$/m.exec(text) ?? [];
  return sources === hashOfSources() && own === hash(bodyOf(text));
}

/** The whole file, rendered now. */
export async function renderManifests(): Promise<string> {
  const output = await run(await buildHelm(), [
    'template',
    'flashcopy-csi',
    path.join(root, CHART),
    ...OPTIONS,
  ]);
  const body = output
    .split('\n')
    .filter((line) => !/^ *(app\.kubernetes\.io\/managed-by: Helm|helm\.sh\/chart: )/.test(line))
    .map((line) => line.trimEnd())
    .join('\n')
    .replaceAll(/\n{2,}/g, '\n');
  const header = [
    `# Rendered from ${CHART} by "npm run generate". Read deploy/README.md first.`,
    `# sources ${hashOfSources()}, content ${hash(body)}`,
  ];
  return `${header.join('\n')}\n${body}`;
}

const bodyOf = (text: string): string => text.split('\n').slice(2).join('\n');

const hash = (text: string | Buffer): string => createHash('sha256').update(text).digest('hex');

function hashOfSources(): string {
  const names = readdirSync(path.join(root, CHART), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => path.relative(path.join(root, CHART), path.join(entry.parentPath, entry.name)))
    .filter((name) => !UNRENDERED.test(name))
    .sort();
  const files = names.map((name) => `${name} ${hash(readFileSync(path.join(root, CHART, name)))}`);
  return hash([...OPTIONS, ...files].join('\n'));
}
