/** What of the chart is written from its values (values.ts): values.yaml, values.schema.json, README.md; and the dashboard. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { dump } from 'js-yaml';
import { dashboard } from './dashboard.ts';
import type { Schema } from './schema.ts';
import { values } from './values.ts';

const WIDTH = 110;
const INDENT = '  ';
const README_HEAD = path.join(import.meta.dirname, 'readme-head.md');

/** By their names in the chart. */
export function chartFiles(): Map<string, string> {
  const schema = { $schema: 'https://json-schema.org/draft/2020-12/schema', ...withGlobal(values) };
  return new Map([
    [
      'values.yaml',
      `# Generated from tools/chart by "npm run generate"; README.md has the same as a table.\n${yaml()}`,
    ],
    ['values.schema.json', `${JSON.stringify(schema, null, 2)}\n`],
    ['README.md', readme()],
    ['files/dashboard.json', dashboard()],
  ]);
}

/** Helm gives it to every chart that is part of another. */
function withGlobal(schema: Schema): Schema {
  const global = { type: 'object', description: 'Values that a chart shares with those that it is part of.' };
  return { ...schema, properties: { ...schema.properties, global } };
}

function yaml(): string {
  return sectionsOf(values, '').join('\n');
}

function sectionsOf({ properties = {} }: Schema, indent: string): string[] {
  return Object.entries(properties).map(([name, schema]) => {
    const comment = wrapped(meaningOf(schema), WIDTH - indent.length - 2).map(
      (line) => `${indent}# ${line}\n`,
    );
    if (schema.properties !== undefined && schema.default === undefined)
      return `${comment.join('')}${indent}${name}:\n${sectionsOf(schema, indent + INDENT).join('')}`;
    const entry = dump({ [name]: schema.default }, { lineWidth: WIDTH, quoteStyle: 'double' }).trimEnd();
    return `${comment.join('')}${entry.replaceAll(/^(?=.)/gm, indent)}\n`;
  });
}

/** The description, and what else may be written there. */
function meaningOf({ description, enum: words, examples, minimum, maximum }: Schema): string {
  const parts = [description];
  if (words !== undefined) parts.push(`One of ${words.join(', ')}.`);
  if (minimum !== undefined && maximum !== undefined) parts.push(`From ${minimum} to ${maximum}.`);
  else if (minimum !== undefined) parts.push(`At least ${minimum}.`);
  for (const example of examples ?? []) parts.push(`Example: ${JSON.stringify(example)}`);
  return parts.join(' ');
}

function wrapped(text: string, width: number): string[] {
  const lines = [''];
  for (const word of text.split(' ')) {
    const line = lines.at(-1)!;
    if (line !== '' && line.length + 1 + word.length > width) lines.push(word);
    else lines[lines.length - 1] = line === '' ? word : `${line} ${word}`;
  }
  return lines;
}

function readme(): string {
  const table = ['| value | default | meaning |', '|---|---|---|', ...rowsOf(values, '')];
  return `<!-- Generated from tools/chart by "npm run generate". -->\n${readFileSync(README_HEAD, 'utf8')}\n${table.join('\n')}\n`;
}

function rowsOf({ properties = {} }: Schema, prefix: string): string[] {
  return Object.entries(properties).flatMap(([name, schema]) => {
    const full = `${prefix}${name}`;
    if (schema.properties !== undefined && schema.default === undefined)
      return [row(full, '', meaningOf(schema)), ...rowsOf(schema, `${full}.`)];
    const own = row(full, shown(schema.default), meaningOf(schema));
    const parts = (schema.items ?? (schema.properties ? schema : {})) as Schema;
    return [own, ...rowsOf(parts, schema.items === undefined ? `${full}.` : `${full}[].`)];
  });
}

const row = (...cells: string[]): string => `| ${cells.map((cell, i) => cellOf(cell, i)).join(' | ')} |`;

function cellOf(cell: string, column: number): string {
  const escaped = cell.replaceAll('|', '\\|');
  return column === 0 || (column === 1 && cell !== '') ? `\`${escaped}\`` : escaped;
}

const shown = (value: unknown): string => (value === undefined ? '' : JSON.stringify(value));
