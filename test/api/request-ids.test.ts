/** One id leads from a sidecar's call through the controller's log to the engine's. */
import assert from 'node:assert/strict';
import { newRequestId, withRequest } from '../../src/base/request.ts';
import { until } from '../support/commands.ts';
import { engineSuite } from '../support/engine-suite.ts';

describe('The id of a request', () => {
  const suite = engineSuite();
  type Line = { message: string; call?: string; request?: string };
  const logged = (): Line[] =>
    suite.log
      .split('\n')
      .filter((line) => line.startsWith('{') && line.endsWith('}'))
      .map((line) => JSON.parse(line) as Line);

  it('is in the log of the engine that did it', async () => {
    const id = newRequestId();
    await withRequest(id, () => suite.engine.createVolume({ name: 'asked-for', sizeBytes: 1024 * 1024 }));
    const line = await until('it is logged', () => logged().find(({ request }) => request === id));
    assert.deepEqual([line.message, line.call], ['engine call done', 'CreateVolume']);
  });

  it('is there for what was refused, too', async () => {
    const id = newRequestId();
    await assert.rejects(withRequest(id, () => suite.engine.stopMapping('nothing')));
    const line = await until('it is logged', () => logged().find(({ request }) => request === id));
    assert.equal(line.message, 'engine call refused');
  });

  it('is nothing that could pass for another line', async () => {
    const forged = 'x"}\n{"message":"forged"';
    await withRequest(forged, () => suite.engine.createVolume({ name: 'forged', sizeBytes: 1024 * 1024 }));
    await until('it is logged', () => logged().filter(({ call }) => call === 'CreateVolume').length >= 2);
    assert.equal(
      logged().some(({ message }) => message === 'forged'),
      false,
    );
  });
});
