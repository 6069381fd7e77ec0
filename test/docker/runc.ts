/**
 * `runc`, for a machine whose root lacks a capability.
 *
 * Docker asks for every capability in a privileged container, and what a process lacks it cannot give on. So what this
 * machine's root lacks is taken out of what is asked for, and the rest is runc's.
 */
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';

type Capabilities = Record<string, string[]>;
type Specification = { process?: { capabilities?: Capabilities }; capabilities?: Capabilities };

const [runc, lacking, ...args] = process.argv.slice(2);

function withoutLacking(file: string): void {
  const specification = JSON.parse(readFileSync(file, 'utf8')) as Specification;
  for (const set of [specification.process?.capabilities, specification.capabilities]) {
    for (const [name, capabilities] of Object.entries(set ?? {}))
      set![name] = capabilities.filter((capability) => !lacking!.split(',').includes(capability));
  }
  writeFileSync(file, JSON.stringify(specification));
}

for (const [i, arg] of args.entries()) {
  if (arg === '--bundle' || arg === '-b') withoutLacking(path.join(args[i + 1]!, 'config.json'));
  if (arg === '--process' || arg === '-p') withoutLacking(args[i + 1]!);
}
const { status, error } = spawnSync(runc!, args, { stdio: 'inherit' });
if (error) throw error;
process.exitCode = status ?? 1;
