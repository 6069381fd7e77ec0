/** `flashcopy health`, asked about roles that are well, that are not, and that are not there. */
import assert from 'node:assert/strict';
import { newRegistry, serveHealth } from '../../src/base/health-server.ts';
import { flashcopy } from '../support/standalone.ts';

const well = async (): Promise<void> => undefined;

describe('flashcopy health', () => {
  const servers: { stop(): Promise<void> }[] = [];
  afterEach(async () => {
    for (const server of servers.splice(0)) await server.stop();
  });

  async function role(live: () => Promise<void>): Promise<string> {
    const server = await serveHealth({ listen: '127.0.0.1:0', registry: newRegistry(), live, ready: well });
    servers.push(server);
    return server.address;
  }

  it('is content with one role that is well, and with another that is not there', async () => {
    const here = await role(well);
    const gone = await role(well);
    await servers.pop()!.stop();
    const { status, stdout } = await flashcopy('health', '--at', here, gone);
    assert.equal(status, 0);
    assert.match(stdout, new RegExp(`${here}\\s+well`));
    assert.doesNotMatch(stdout, new RegExp(gone));
  });

  it('says which role is not well, and why', async () => {
    const sick = await role(() => Promise.reject(new Error('the pool is full')));
    const { status, stderr } = await flashcopy('health', '--at', await role(well), sick);
    assert.equal(status, 1);
    assert.match(stderr, new RegExp(`${sick} is not well: the pool is full`));
  });

  it('says where it has looked when nobody is there', async () => {
    const gone = await role(well);
    await servers.pop()!.stop();
    const { status, stderr } = await flashcopy('health', '--at', gone);
    assert.equal(status, 1);
    assert.match(stderr, new RegExp(`No role answers at ${gone}`));
  });
});
