/**
 * Other programs, run to their end: their output, or an error that says all there is to know.
 */
import { spawn } from 'node:child_process';

export class CommandFailed extends Error {
  readonly status: number | NodeJS.Signals;
  readonly output: string;
  constructor(command: readonly string[], status: number | NodeJS.Signals, output: string) {
    super(`${command.join(' ')} ended with ${status}: ${output.trim() || 'no output'}`);
    this.name = 'CommandFailed';
    this.status = status;
    this.output = output;
  }
}

export type CommandResult = { status: number | NodeJS.Signals; stdout: string; stderr: string };

export type CommandOptions = {
  cwd?: string;
  env?: NodeJS.ProcessEnv;
  timeoutMs?: number;
  /** What it reads from its standard input. */
  input?: string;
};

/** Whatever way it ends. Throws only when it cannot be started. */
export function attempt(
  command: string,
  args: readonly string[],
  options: CommandOptions = {},
): Promise<CommandResult> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      stdio: [options.input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
      env: { ...process.env, LC_ALL: 'C', ...options.env },
      ...(options.timeoutMs === undefined
        ? {}
        : { timeout: options.timeoutMs, killSignal: 'SIGKILL' as const }),
    });
    let stdout = '';
    let stderr = '';
    child.stdin?.end(options.input);
    child.stdout!.setEncoding('utf8').on('data', (text: string) => {
      stdout += text;
    });
    child.stderr!.setEncoding('utf8').on('data', (text: string) => {
      stderr += text;
    });
    child.on('error', reject);
    child.on('close', (status, signal) => resolve({ status: signal ?? status ?? 1, stdout, stderr }));
  });
}

/** Its standard output. Throws CommandFailed when it ends with anything but 0. */
export async function run(
  command: string,
  args: readonly string[],
  options: CommandOptions = {},
): Promise<string> {
  const { status, stdout, stderr } = await attempt(command, args, options);
  if (status !== 0) throw new CommandFailed([command, ...args], status, stderr + stdout);
  return stdout;
}

/** Asks until the answer is neither undefined nor false. */
export async function until<T>(
  what: string,
  ask: () => T | undefined | false | Promise<T | undefined | false>,
  timeoutMs = 15_000,
  everyMs = 20,
): Promise<T> {
  const end = performance.now() + timeoutMs;
  for (;;) {
    const answer = await ask();
    if (answer !== undefined && answer !== false) return answer;
    if (performance.now() > end) throw new Error(`waited ${timeoutMs} ms in vain until ${what}`);
    await new Promise((resolve) => setTimeout(resolve, everyMs));
  }
}
