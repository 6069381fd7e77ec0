/** The commands of docs/kind.md, as a reader would type them, and the images that they need. */
import { readFileSync } from 'node:fs';
import path from 'node:path';

const repository = path.resolve(import.meta.dirname, '../..');
const COMMANDS = 5;

/** One for each block up to the point where the page says that this is all, and the one after it that ends everything. */
export function quickStartCommands(): { commands: string[]; end: string } {
  const page = readFileSync(path.join(repository, 'docs/kind.md'), 'utf8');
  const [commands, [end]] = page
    .split('That is all.')
    .map((part) => [...part.matchAll(/^```sh\n(.*?)^```$/gms)].map((block) => block[1]!.trim())) as [
    string[],
    string[],
  ];
  if (commands.length !== COMMANDS)
    throw new Error(`docs/kind.md promises ${COMMANDS} commands and has ${commands.length}`);
  return { commands, end: end! };
}

/** What containers in these manifests run, but for what is built here. */
export function publishedImages(manifests: readonly string[]): string[] {
  const images = manifests.flatMap((text) => [
    ...text.matchAll(/^\s*-?\s*image:\s*"?([\w./-]+:[\w.@:-]+)"?\s*$/gm),
  ]);
  const names = new Set(images.map((match) => match[1]!));
  return [...names].filter((name) => !name.startsWith('flashcopy-csi:')).toSorted();
}
