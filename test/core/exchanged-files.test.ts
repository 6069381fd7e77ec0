/**
 * Two data files that have got each other's names while no engine ran (B1): each volume waits for its own, or is lost. Whatever
 * is asked for meanwhile, and whatever the undo log has for one of them, the other's data is in its file when it is put back.
 */
import assert from 'node:assert/strict';
import { BLOCK } from '../sim/sim-file.ts';
import { SmallPool } from '../sim/small-pool.ts';

const SEEDS = 4;
const GRAINS = 4;
const LONG_MS = 6000;

type Death = 'closed' | 'killed' | 'power lost';
const DEATHS: Death[] = ['closed', 'killed', 'power lost'];

class ExchangedPool extends SmallPool {
  #paths: [string, string] = ['', ''];

  end(how: Death): void {
    if (how === 'closed') this.world.close(false);
    else if (how === 'killed') this.world.processDeath();
    else this.world.losePower();
  }

  exchange(a: string, b: string, death: Death): void {
    const both = [this.found(a), this.found(b)];
    this.#paths = [both[0]!.file.path, both[1]!.file.path];
    this.end(death);
    this.#swap();
    this.world.exchanged = both.map(({ id }) => ({ volume: id, error: 'its data file is another one' }));
    this.world.open();
  }

  exchangeBack(): void {
    this.world.close(false);
    this.#swap();
    this.world.exchanged = [];
    this.world.open();
  }

  #swap(): void {
    const { files } = this.world.disk;
    const [a, b] = this.#paths;
    const [ofA, ofB] = [files.get(a), files.get(b)];
    for (const [path, file] of [[a, ofB] as const, [b, ofA] as const])
      if (file === undefined) files.delete(path);
      else files.set(path, file);
  }

  showsAll(name: string, byte: number, seed: number): void {
    assert.equal(this.found(name).offline, '', `${name}, seed ${seed}`);
    for (let grain = 0; grain < GRAINS; grain++)
      assert.equal(this.read(name, grain), byte, `grain ${grain} of ${name}, seed ${seed}`);
  }
}

/** `other` shows 9. Of `v` there is the snapshot `s`, and of that the clone `c`; both lack grains. */
function pool(seed: number, cowFailure: 'breakSnapshot' | 'failWrite' = 'breakSnapshot'): ExchangedPool {
  const made = new ExchangedPool(seed);
  made.volume('other', GRAINS, 9);
  const request = { name: 'v', sizeBytes: GRAINS * BLOCK, grainBytes: BLOCK, cowFailure };
  made.world.run('create', made.world.core.createVolume(request));
  for (let grain = 0; grain < GRAINS; grain++) made.write('v', grain, 1);
  made.flush('v');
  made.snapshot('s', 'v');
  made.clone('c', 's');
  made.emptyLog();
  return made;
}

/** For each seed, and each end of the engine before: the other's data is there when the files are put back. */
function keepsOther(
  victim: string,
  before: (made: ExchangedPool) => void,
  then: (made: ExchangedPool) => void,
) {
  for (const death of DEATHS)
    for (let seed = 1; seed <= SEEDS; seed++) {
      const made = pool(seed);
      before(made);
      made.exchange(victim, 'other', death);
      then(made);
      made.world.runner.runFor(LONG_MS);
      made.exchangeBack();
      made.showsAll('other', 9, seed);
    }
}

const nothing = (): void => {};
const writeV = (made: ExchangedPool): void => {
  made.write('v', 0, 2);
  made.write('v', 2, 2);
};
const deleteV = ({ world }: ExchangedPool): void => world.run('delete', world.core.deleteVolume('v'));
const deleteS = ({ world }: ExchangedPool): void => world.run('delete', world.core.deleteSnapshot('s'));

describe('A data file that has the name of another one', () => {
  it('gets nothing of what the undo log has for the volume of that name, and is not emptied', () => {
    keepsOther('s', writeV, nothing);
    keepsOther('c', (made) => made.write('c', 1, 5), nothing);
  });

  it('gets nothing for a copy that is lost, from one that is deleted', () => {
    keepsOther('s', writeV, deleteV);
    keepsOther('c', writeV, deleteS);
  });

  it('gets nothing where a write fails rather than break a copy: one that is lost already does not fail it', () => {
    for (let seed = 1; seed <= SEEDS; seed++) {
      const made = pool(seed, 'failWrite');
      made.exchange('s', 'other', 'closed');
      made.write('v', 3, 2);
      made.world.checkpoint();
      made.world.runner.runFor(LONG_MS);
      assert.equal(made.read('v', 3), 2);
      made.exchangeBack();
      made.showsAll('other', 9, seed);
    }
  });

  it('is not emptied when the volume of that name is deleted, its mapping stopped, or its snapshot deleted', () => {
    const flushed = (made: ExchangedPool): void => {
      writeV(made);
      made.write('c', 2, 5);
      for (const name of ['v', 'c']) made.flush(name);
      made.emptyLog();
    };
    keepsOther('v', flushed, deleteV);
    keepsOther('s', flushed, deleteS);
    keepsOther('c', flushed, ({ world }) => {
      assert.throws(() => world.run('delete', world.core.deleteMapping('c', true)), /cannot be emptied/);
    });
  });
});
