/**
 * `flashcopy check`: whether a pool that no engine has is sound. Exit code 0: nothing was found, or all of it is
 * repaired; 1: something is left, or the check could not be made; 2: used wrongly.
 */
import process from 'node:process';
import { SingleBar } from 'cli-progress';
import type { Command } from 'commander';
import type { CheckReport, FindingInfo } from '../engine/check/check-pool.ts';
import type { Progress } from '../engine/check/findings.ts';
import { examples } from './context.ts';
import { type OutputForm, print, printJson } from './output.ts';

type CheckOptions = { pool: string; repair?: boolean; giveUpLog?: boolean; output: OutputForm };

export function addCheckCommand(program: Command): void {
  program
    .command('check')
    .description('check a pool that no engine has: catalog, bitmaps, undo log and files')
    .requiredOption('--pool <dir>', 'directory of the pool')
    .option('--repair', 'do what is safe about what is found, and say what is left')
    .option(
      '--give-up-log',
      'with --repair: do without an undo log that is gone for good, and lose what needs it',
    )
    .addHelpText(
      'after',
      `
Looking changes nothing. A repair never guesses what a volume held: it removes what is nobody's, makes anew what is
redundant, and turns a lost record of changes into "all of it changed". Keep a copy of the pool before a repair.
It reads what describes the data, not the data: "flashcopy scrub" does that, while the engine runs.
Exit code 0: sound, or all is repaired; 1: something is left; 2: used wrongly.
${examples(
  'flashcopy check --pool /var/lib/flashcopy/pool',
  'flashcopy check --pool /var/lib/flashcopy/pool --repair',
  "flashcopy check --pool /var/lib/flashcopy/pool --output json | jq '.findings[].file'",
)}`,
    )
    .action(async (_options: object, command: Command) => {
      const { pool, repair = false, giveUpLog = false, output } = command.optsWithGlobals<CheckOptions>();
      if (giveUpLog && !repair) command.error('error: --give-up-log needs --repair');
      const { checkPool } = await import('../engine/check/check-pool.ts');
      const bar = output === 'table' && process.stderr.isTTY ? newBar() : undefined;
      let report: CheckReport;
      try {
        report = checkPool(pool, { repair, giveUpLog, ...(bar && { progress: bar.progress }) });
      } finally {
        bar?.stop();
      }
      if (output === 'json') printJson(report);
      else printReport(report, repair);
      if (report.findings.length > 0) process.exitCode = 1;
    });
}

function newBar(): { progress: Progress; stop(): void } {
  const bar = new SingleBar({
    format: '{what} [{bar}] {value} of {total}',
    hideCursor: true,
    clearOnComplete: true,
    stream: process.stderr,
  });
  let shown = '';
  const progress: Progress = (what, done, total) => {
    if (what !== shown) bar.start(Math.max(total, 1), done, { what });
    shown = what;
    bar.update(done, { what });
    bar.render();
  };
  return { progress, stop: () => bar.stop() };
}

function printReport(report: CheckReport, repair: boolean): void {
  const { pool, format, volumes, snapshots, mappings, bitmaps, logRecords, findings, repaired, notes } =
    report;
  print(
    `${pool}: ${format === null ? 'format not known' : `format ${format}`}, ${volumes} volumes, ${snapshots} snapshots, ${mappings} mappings, ${bitmaps} bitmaps, ` +
      `${logRecords} records in the undo log`,
  );
  for (const note of notes) print(`note: ${note}`);
  for (const one of repaired) printFinding('repaired', one);
  for (const one of findings) printFinding(one.repairable && !repair ? 'repairable' : 'damage', one);
  if (findings.length === 0) print(repaired.length === 0 ? 'sound' : 'sound, after repairs');
  else print(`${findings.length} found${findings.some((f) => f.repairable) ? ', see --repair' : ''}`);
}

function printFinding(kind: string, { what, file, offset, volumes, remedy }: FindingInfo): void {
  print(`${kind}: ${file}${offset === null ? '' : ` at byte ${offset}`}: ${what}`);
  if (volumes.length > 0) print(`  concerns: ${volumes.join(', ')}`);
  print(`  ${kind === 'repaired' ? 'done' : 'remedy'}: ${remedy}`);
}
