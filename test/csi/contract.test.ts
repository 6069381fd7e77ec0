/**
 * The wire contract is the specification's: our file says the same as csi.proto of its Go module, whatever the comments.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import protobuf from 'protobufjs';
import { go } from '../support/go.ts';

const MODULE = 'github.com/container-storage-interface/spec@v1.12.0';
const ours = path.resolve(import.meta.dirname, '../../proto/csi/v1/csi.proto');

/** Everything that a file defines: services, messages, fields, numbers, enums, options. No comments. */
function definitionsOf(file: string): { json: protobuf.INamespace; imports: string[] | undefined } {
  const root = new protobuf.Root();
  const parsed = protobuf.parse(readFileSync(file, 'utf8'), root, { keepCase: true });
  return { json: root.toJSON({ keepComments: false }), imports: parsed.imports };
}

describe('The CSI wire contract', () => {
  it('is that of the specification 1.12.0, to the last option', async () => {
    const env = { GOFLAGS: '-mod=mod' };
    const told = await go(['mod', 'download', '-json', MODULE], { env, timeoutMs: 100_000 });
    const { Dir: directory } = JSON.parse(told) as { Dir: string };
    const theirs = definitionsOf(path.join(directory, 'csi.proto'));
    const found = definitionsOf(ours);
    assert.deepEqual(found, theirs);
    const text = JSON.stringify(found.json);
    for (const known of ['"(csi_secret)":true', '"(alpha_service)":true', 'GetMetadataDelta', 'go_package'])
      assert.ok(text.includes(known), `the comparison sees ${known}`);
  });
});
