/**
 * How the demo speaks: scenes, plain words, the commands it really runs, and claims that are true or end it.
 */
import { stripVTControlCharacters, styleText } from 'node:util';
import { SingleBar } from 'cli-progress';
import { ClaimFailed } from '../support/cleanup.ts';

const WIDTH = 96;

let claims = 0;
let scenes = 0;

const wrap = (text: string, indent: string): string => {
  const lines = [''];
  for (const word of text.split(' ')) {
    const line = lines.at(-1)!;
    if (line !== '' && stripVTControlCharacters(line).length + word.length >= WIDTH - indent.length)
      lines.push(word);
    else lines[lines.length - 1] = line === '' ? word : `${line} ${word}`;
  }
  return lines.map((line) => indent + line).join('\n');
};

export function title(text: string): void {
  console.log(`\n${styleText('bold', text)}`);
}

export function scene(text: string): void {
  scenes += 1;
  console.log(`\n${styleText(['bold', 'cyan'], `${scenes}. ${text}`)}`);
}

export function say(text: string): void {
  console.log(wrap(text, '   '));
}

export function showCommand(text: string): void {
  console.log(styleText('dim', `   $ ${text}`));
}

/** A statement that was just checked. A false one ends the demo as failed. */
export function claim(text: string, holds: boolean, found = ''): void {
  claims += 1;
  if (!holds) {
    const detail = found === '' ? '' : `\n   Found: ${found}`;
    throw new ClaimFailed(`${styleText(['bold', 'red'], '   ✘ This is not so:')} ${text}${detail}`);
  }
  const [first, ...rest] = wrap(text, '     ').trimStart().split('\n');
  console.log([`   ${styleText('green', '✔')} ${first}`, ...rest].join('\n'));
}

export function claimsMade(): number {
  return claims;
}

/** Follows what `ask` tells until it is complete. On anything but a terminal: one line at the end. */
export async function progress(
  unit: string,
  ask: () => Promise<{ done: number; total: number; complete: boolean }>,
): Promise<void> {
  const format = `   {bar} {percentage} %  {value} of {total} ${unit}`;
  const bar = new SingleBar({
    format,
    barsize: 40,
    barCompleteChar: '█',
    barIncompleteChar: '░',
    hideCursor: true,
  });
  let started = false;
  for (;;) {
    const { done, total, complete } = await ask();
    if (!started) bar.start(total, done);
    started = true;
    bar.update(done);
    if (complete) {
      bar.stop();
      if (!process.stdout.isTTY) console.log(`   100 %  ${done} of ${total} ${unit}`);
      return;
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
