/** docs/failure-matrix.md: each of its rows names a test, and that test is there. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';

const root = path.resolve(import.meta.dirname, '../..');
const COLUMNS = 5;

/** The cells of each row that is not a table's head. */
function rowsOf(text: string): string[][] {
  const lines = text.split('\n').filter((line) => line.startsWith('| ') && !line.endsWith('| shown by |'));
  return lines.map((line) =>
    line
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.trim()),
  );
}

/** Whether a test or a suite of the file bears the title. */
function hasTitle(file: string, title: string): boolean {
  const text = readFileSync(file, 'utf8').replaceAll(/\s+/g, ' ');
  return ["'", '"', '`'].some((quote) =>
    ['it', 'describe'].some(
      (word) =>
        text.includes(`${word}(${quote}${title}${quote}`) ||
        text.includes(`${word}( ${quote}${title}${quote}`),
    ),
  );
}

describe('The failure matrix', () => {
  const rows = rowsOf(readFileSync(path.join(root, 'docs/failure-matrix.md'), 'utf8'));

  it('has all cells of all rows', () => {
    assert.ok(rows.length > 0);
    const odd = rows.filter((cells) => cells.length !== COLUMNS || cells.includes(''));
    assert.deepEqual(odd, []);
  });

  it('names a test in each row, and the test is there', () => {
    for (const cells of rows) {
      const [, file, title] = /^`([^`]+\.test\.ts)`: (.+)$/.exec(cells.at(-1)!) ?? [];
      assert.ok(file !== undefined && title !== undefined, `no test is named for: ${cells[0]}`);
      const place = path.join(root, 'test', file);
      assert.ok(existsSync(place), `${file} is not there`);
      assert.ok(hasTitle(place, title), `${file} has no test "${title}"`);
    }
  });

  it('would miss a test with another title', () => {
    assert.ok(!hasTitle(path.join(root, 'test/real/deaths.test.ts'), 'goes on when its supervisor alone'));
  });
});
