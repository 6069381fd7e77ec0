#!/usr/bin/env node
/**
 * Starts `flashcopy` on a Node.js that runs its sources.
 *
 * Plain JavaScript that older releases can parse: this file is what tells them that they are too old. On such a
 * release it runs itself again with the Node.js of the development dependencies, passing on signals and the exit
 * status, so that `flashcopy` works in a checkout whatever Node.js the machine has.
 */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { constants } from 'node:os';
import { fileURLToPath } from 'node:url';

const NODE_MAJOR_MIN = 24;

const self = fileURLToPath(import.meta.url);
const sources = new URL('../src/cli/main.ts', import.meta.url);
const compiled = new URL('../dist/cli/main.js', import.meta.url);
const bundledNode = fileURLToPath(new URL('../node_modules/node/bin/node', import.meta.url));

if (Number.parseInt(process.versions.node, 10) >= NODE_MAJOR_MIN) {
  await import((existsSync(sources) ? sources : compiled).href);
} else if (existsSync(bundledNode) && process.execPath !== bundledNode) {
  runAgainWith(bundledNode);
} else {
  console.error(
    `flashcopy needs Node.js ${NODE_MAJOR_MIN} or later and this is ${process.version} (${process.execPath}). ` +
      'Install a newer Node.js, or run "npm ci" in the checkout, which brings one along.',
  );
  process.exit(1);
}

/** Runs this file with another Node.js and ends the way that run ends. */
function runAgainWith(node) {
  const child = spawn(node, [...process.execArgv, self, ...process.argv.slice(2)], { stdio: 'inherit' });

  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT', 'SIGUSR2', 'SIGWINCH']) {
    process.on(signal, () => {
      // A terminal sends these to the child as well: passed on, one Ctrl-C would count as two.
      const fromTerminal = process.stdin.isTTY && ['SIGINT', 'SIGQUIT', 'SIGWINCH'].includes(signal);
      if (!fromTerminal) child.kill(signal);
    });
  }

  child.on('error', (error) => {
    console.error(`flashcopy could not start ${node}: ${error.message}. Run "npm ci" in the checkout again.`);
    process.exit(1);
  });
  child.on('exit', (code, signal) => {
    if (signal === null) process.exit(code);
    // Ended by a signal: end by the same one, so that the caller sees it. Where that does not end this process
    // (as the first process of a container), say it the way a shell does.
    process.removeAllListeners(signal);
    process.kill(process.pid, signal);
    setTimeout(() => process.exit(128 + constants.signals[signal]), 100);
  });
}
