/** The commands of docs/kind.md, as a reader would type them, and the images that they need. */
import { readFileSync } from 'node:fs';
import path from 'node:path';

const repository = path.resolve(import.meta.dirname, '../..');
const COMMANDS = 5;

/** One for each block up to the point where the page says that this is all. */
export function quickStartCommands(): string[] {
  const page = readFileSync(path.join(repository, 'docs/kind.md'), 'utf8');
  const [steps] = page.split('That is all.');
  const commands = [...steps!.matchAll(/^```sh\n(.*?)^```$/gms)].map((block) => block[1]!.trim());
  if (commands.length !== COMMANDS)
    throw new Error(`docs/kind.md promises ${COMMANDS} commands and has ${commands.length}`);
  return commands;
}

/** What containers in these manifests run, but for what is built here. */
export function publishedImages(manifests: readonly string[]): string[] {
  const images = manifests.flatMap((text) => [
    ...text.matchAll(/^\s*-?\s*image:\s*"?([\w./-]+:[\w.@:-]+)"?\s*$/gm),
  ]);
  const names = new Set(images.map((match) => match[1]!));
  return [...names].filter((name) => !name.startsWith('flashcopy-csi:')).toSorted();
}
