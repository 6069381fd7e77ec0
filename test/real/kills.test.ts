/** Fifty kills here; `npm run test:kills` makes a thousand, with three hundred volumes attached. */
import assert from 'node:assert/strict';
import { engineSuite } from '../support/engine-suite.ts';
import { killUnderLoad } from '../support/kill-load.ts';

const KILLS = 50;

describe('An engine that is killed fifty times under load', () => {
  const suite = engineSuite();

  it('shows no I/O error, loses nothing acknowledged, keeps its snapshots and leaves nothing', async () => {
    const report = await killUnderLoad(suite, { kills: KILLS, idleVolumes: 0 });
    assert.equal(report.kills, KILLS);
    assert.ok(report.writes > 0);
  }).timeout(600_000);
});
