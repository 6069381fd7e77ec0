/**
 * Leader election (src/kube/lease.ts) among several candidates, over an API server that refuses writes to versions that
 * are not current, goes away and loses answers.
 */
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { KubeConfig } from '@kubernetes/client-node';
import { KubeClient } from '../../src/kube/client.ts';
import { Election } from '../../src/kube/lease.ts';
import { until } from '../support/commands.ts';
import { KubeServer } from '../support/kube-server.ts';

const TIMES = { durationMs: 3000, renewMs: 2000, retryMs: 100 };
const LEASE = '/apis/coordination.k8s.io/v1/namespaces/system/leases/test';

/** One who would lead, with a way of its own to the API server. */
class Candidate {
  readonly election: Election;
  readonly server: KubeServer;
  /** Terms that have not ended. */
  terms: AbortSignal[] = [];
  begun = 0;

  constructor(server: KubeServer, name: string) {
    this.server = server;
    const config = new KubeConfig();
    config.loadFromClusterAndUser({ name: 'test', server: server.url, skipTLSVerify: true }, { name });
    const client = new KubeClient(config);
    this.election = new Election({ client, namespace: 'system', name: 'test', identity: name, times: TIMES }, (term) => { this.begin(term); }); // biome-ignore format: one line
  }

  private begin(term: AbortSignal): void {
    this.begun += 1;
    this.terms.push(term);
    term.addEventListener('abort', () => {
      this.terms = this.terms.filter((each) => each !== term);
    });
  }

  get leads(): boolean {
    return this.terms.length > 0;
  }
}

describe('An election', () => {
  let server: KubeServer;
  let candidates: Candidate[];

  beforeEach(async () => {
    server = await KubeServer.start();
    candidates = [];
  });
  afterEach(async () => {
    server.before = () => {};
    await Promise.all(candidates.map(({ election }) => election.stop()));
    await server.stop();
  });

  const add = (...names: string[]) => {
    const added = names.map((name) => new Candidate(server, name));
    candidates.push(...added);
    return added;
  };
  const leaders = () => candidates.filter(({ leads }) => leads);
  const untilOneLeads = () =>
    until('one leads', () => leaders()[0]).then((leader) => {
      assert.equal(leaders().length, 1);
      return leader;
    });

  it('is won by one of many, who goes on leading', async () => {
    add('a', 'b', 'c', 'd', 'e');
    const leader = await untilOneLeads();
    for (let i = 0; i < 30; i++) {
      await sleep(100);
      assert.deepEqual(leaders(), [leader]);
    }
    assert.deepEqual(candidates.map(({ begun }) => begun).sort(), [0, 0, 0, 0, 1]);
  });

  it('is won by another at once when the leader stops', async () => {
    add('a');
    const leader = await untilOneLeads();
    const [other] = add('b');
    await sleep(300);
    assert.equal(other!.leads, false);
    await leader.election.stop();
    assert.equal(leader.leads, false);
    await until('the other leads', () => other!.leads, TIMES.durationMs);
  });

  it('is lost by a leader that cannot renew before another can win it', async () => {
    add('a');
    const leader = await untilOneLeads();
    add('b');
    let both = false;
    const watch = setInterval(() => {
      both ||= leaders().length > 1;
    }, 1);
    // The leader's writes are not answered: neither refused nor done.
    server.before = async (asked) => {
      if (asked === `PUT ${LEASE}`) await sleep(TIMES.durationMs * 3);
    };
    await until('the leader has given up', () => !leader.leads);
    server.before = () => {};
    await until('the other or the former one leads', () => leaders().length === 1);
    clearInterval(watch);
    assert.equal(both, false);
  });

  it('goes on through an API server that is away for less than the time to renew', async () => {
    add('a');
    const leader = await untilOneLeads();
    const awayUntil = Date.now() + TIMES.renewMs / 3;
    server.before = () => {
      if (Date.now() < awayUntil) throw new Error('away');
    };
    await sleep(TIMES.durationMs);
    assert.deepEqual([leader.leads, leader.begun], [true, 1]);
  });

  it('ends the term at once when the lease was taken by another', async () => {
    add('a');
    const leader = await untilOneLeads();
    const lease = server.get<{ spec: object }>(LEASE)!;
    server.put(LEASE, { metadata: {}, spec: { ...lease.spec, holderIdentity: 'thief' } });
    await until('the leader has noticed', () => !leader.leads, TIMES.renewMs);
  });

  it('takes over from a holder that is dead, after its time, whatever the clocks say', async () => {
    const spec = {
      holderIdentity: 'dead',
      leaseDurationSeconds: 3,
      renewTime: '2099-01-01T00:00:00.000000Z',
      leaseTransitions: 4,
    };
    server.put(LEASE, { metadata: {}, spec });
    const [first] = add('a');
    await sleep(TIMES.durationMs / 2);
    assert.equal(first!.leads, false);
    await until('it is taken over', () => first!.leads);
    const { spec: now } = server.get<{ spec: { leaseTransitions: number; holderIdentity: string } }>(LEASE)!;
    assert.deepEqual([now.holderIdentity, now.leaseTransitions], ['a', 5]);
  });

  it('has never two leaders while candidates come, stall and go', async () => {
    let worst = 0;
    const watch = setInterval(() => {
      worst = Math.max(worst, leaders().length);
    }, 1);
    let random = 12345;
    const next = (below: number) => {
      random = (random * 1103515245 + 12345) % 2147483648;
      return random % below;
    };
    server.before = async () => {
      if (next(10) === 0) throw new Error('lost before it was done');
      if (next(10) === 0) await sleep(next(2500));
    };
    add('a', 'b', 'c');
    for (let i = 0; i < 8; i++) {
      await sleep(400);
      const [gone] = candidates.splice(next(candidates.length), 1);
      await gone!.election.stop();
      add(`next-${i}`);
    }
    clearInterval(watch);
    assert.equal(worst, 1);
  });
});
