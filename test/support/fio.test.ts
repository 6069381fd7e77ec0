import assert from 'node:assert/strict';
import { fioArguments, parseFio } from './fio.ts';

const direction = (more: object) => ({
  io_bytes: 0,
  bw_bytes: 0,
  iops: 0,
  total_ios: 0,
  clat_ns: { max: 0 },
  ...more,
});

const report = (job: object): string =>
  JSON.stringify({ jobs: [{ error: 0, read: direction({}), write: direction({}), ...job }] }, null, 2);

describe("fio's report", () => {
  const latencies = { max: 5_000_000, percentile: { '50.000000': 100_000, '99.000000': 900_000 } };
  const write = direction({ io_bytes: 8192, bw_bytes: 4096, iops: 2.5, total_ios: 2, clat_ns: latencies });

  it('is found after remarks, and its figures are in the units of their names', () => {
    assert.deepEqual(parseFio(`fio: a remark {\nanother\n${report({ write })}\n`), {
      iops: 2.5,
      bytesPerSecond: 4096,
      readBytes: 0,
      writtenBytes: 8192,
      p50Us: 100,
      p99Us: 900,
      maxUs: 5000,
    });
  });

  it('is a failure when the job failed, and when there is none', () => {
    assert.throws(() => parseFio(`fio: io_u error\n${report({ error: 5 })}`), /error 5.*io_u error/);
    assert.throws(() => parseFio('fio: no such file'), /no such file/);
  });

  it('comes from direct I/O through io_uring, whatever else is asked', () => {
    const job = {
      file: '/dev/x',
      pattern: 'randwrite',
      blockBytes: 4096,
      depth: 1,
      rangeBytes: 8192,
    } as const;
    const args = fioArguments({ ...job, seconds: 2, more: { verify: 'crc32c' } });
    for (const arg of ['--ioengine=io_uring', '--direct=1', '--runtime=2', '--verify=crc32c']) {
      assert.ok(args.includes(arg), `${arg} in ${args.join(' ')}`);
    }
    // Verifying needs each block to be written once.
    assert.ok(!args.includes('--norandommap=1'));
  });
});
