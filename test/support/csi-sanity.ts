/**
 * csi-sanity, the official suite for CSI drivers: built from its Go module once, run against a socket.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { attempt } from './commands.ts';
import { go } from './go.ts';

const VERSION = 'v5.5.0';
const MODULE = `github.com/kubernetes-csi/csi-test/v5/cmd/csi-sanity@${VERSION}`;
const BUILD_MS = 600_000;
const RUN_MS = 600_000;
const cache = path.resolve(import.meta.dirname, `../../node_modules/.cache/csi-sanity-${VERSION}`);

/** The program; the Go module proxy has its sources. */
export async function buildCsiSanity(): Promise<string> {
  const program = path.join(cache, 'csi-sanity');
  if (existsSync(program)) return program;
  mkdirSync(cache, { recursive: true });
  await go(['install', MODULE], { env: { GOBIN: cache, GOFLAGS: '-mod=mod' }, timeoutMs: BUILD_MS });
  return program;
}

export type SanityRun = {
  /** The end of what it said. */
  output: string;
  passed: number;
  failed: string[];
  /** Spec by spec, with the reason. */
  skipped: { spec: string; reason: string }[];
};

export type SanityOptions = {
  endpoint: string;
  /** Where the controller is, if that is elsewhere. */
  controllerEndpoint?: string;
  access: 'mount' | 'block';
  /** For its mounts, staging and report. */
  directory: string;
};

/** All of it, with volumes of the default size, 10 GiB. */
export async function runCsiSanity({
  endpoint,
  controllerEndpoint,
  access,
  directory,
}: SanityOptions): Promise<SanityRun> {
  const program = await buildCsiSanity();
  mkdirSync(directory, { recursive: true });
  const at = (name: string) => path.join(directory, name);
  writeFileSync(at('mutable.yaml'), 'copyRate: "60"\n');
  const { stdout, stderr } = await attempt(
    program,
    [
      `--csi.endpoint=${endpoint}`,
      ...(controllerEndpoint === undefined ? [] : [`--csi.controllerendpoint=${controllerEndpoint}`]),
      `--csi.testvolumeaccesstype=${access}`,
      `--csi.testvolumemutableparameters=${at('mutable.yaml')}`,
      `--csi.mountdir=${at('mount')}`,
      `--csi.stagingdir=${at('staging')}`,
      `--ginkgo.junit-report=${at('report.xml')}`,
      '--ginkgo.no-color',
    ],
    { timeoutMs: RUN_MS },
  );
  const output = `${stdout}${stderr}`.slice(-20_000);
  if (!existsSync(at('report.xml'))) throw new Error(`csi-sanity wrote no report:\n${output}`);
  return { output, ...readReport(readFileSync(at('report.xml'), 'utf8')) };
}

function readReport(report: string): Omit<SanityRun, 'output'> {
  const passed: string[] = [];
  const failed: string[] = [];
  const skipped: SanityRun['skipped'] = [];
  for (const [, attributes, body = ''] of report.matchAll(
    /<testcase ([^>]*?)(?:\/>|>([\s\S]*?)<\/testcase>)/g,
  )) {
    const spec = /name="\[It\] ([^"]*)"/.exec(attributes!)?.[1];
    if (spec === undefined) continue; // what goes before and after all specs
    const status = /status="([^"]*)"/.exec(attributes!)?.[1] ?? '';
    const reason = /<skipped message="(?:skipped - )?([^"]*)"/.exec(body)?.[1] ?? status;
    if (status === 'passed') passed.push(spec);
    else if (status === 'skipped' || status === 'pending') skipped.push({ spec, reason });
    else failed.push(`${spec}: ${status}`);
  }
  return { passed: passed.length, failed, skipped };
}
