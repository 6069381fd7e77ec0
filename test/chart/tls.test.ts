/** The certificates that the chart makes: the program takes them, and their CA can issue no others. */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { CONTROLLER_NAME, engineNameOf, TlsDirectory } from '../../src/api/tls-directory.ts';
import { describeChart, type KubeObject, rendered, renderedText, the } from './render.ts';

describeChart('Certificates made by helm', () => {
  let dir: string;
  let objects: KubeObject[];
  before(async () => {
    dir = fs.mkdtempSync(path.join(os.tmpdir(), 'flashcopy-chart-'));
    objects = await rendered();
  });
  after(() => fs.rmSync(dir, { recursive: true }));

  const secret = (role: string) => the(objects, 'Secret', `-${role}-tls`).data!;
  /** As kubelet puts it into the pod. */
  const mounted = (role: string) => {
    const at = path.join(dir, role);
    fs.mkdirSync(at, { recursive: true });
    for (const [file, content] of Object.entries(secret(role)))
      fs.writeFileSync(path.join(at, file), Buffer.from(content, 'base64'));
    return at;
  };

  it('are taken by the controller, and by the engine of any node', () => {
    new TlsDirectory(mounted('controller'), CONTROLLER_NAME);
    for (const node of ['n1', 'ip-10-0-0-7.ec2.internal', 'x'.repeat(63)])
      new TlsDirectory(mounted('engine'), engineNameOf(node));
    assert.equal(secret('controller')['ca.crt'], secret('engine')['ca.crt']);
  });

  it('are not good for each other', () => {
    assert.throws(() => new TlsDirectory(mounted('engine'), CONTROLLER_NAME), /is for DNS:\*\.engine/);
    assert.throws(() => new TlsDirectory(mounted('controller'), engineNameOf('n1')), /is for DNS:controller/);
  });

  it('leave no key of the CA behind, and three files each', () => {
    for (const role of ['controller', 'engine']) {
      assert.deepEqual(Object.keys(secret(role)).sort(), ['ca.crt', 'tls.crt', 'tls.key']);
      const keys = Buffer.from(secret(role)['tls.key']!, 'base64').toString().match(/BEGIN/g);
      assert.equal(keys?.length, 1);
    }
    const texts = objects.filter(({ kind }) => kind === 'Secret').flatMap(({ data }) => Object.values(data!));
    assert.equal(
      texts.filter((text) => Buffer.from(text, 'base64').toString().includes('PRIVATE KEY')).length,
      2,
    );
  });

  it('are valid as long as was asked, and say when an upgrade will make new ones', async () => {
    const validDays = 30;
    const short = await rendered({ values: { tls: { helm: { validDays, renewal: 'spring' } } } });
    const { data, metadata } = the(short, 'Secret', '-engine-tls');
    const { validFromDate, validToDate } = new X509Certificate(Buffer.from(data!['tls.crt']!, 'base64'));
    assert.equal(Math.round((validToDate.getTime() - validFromDate.getTime()) / 86_400_000), validDays);
    const renewAfter = Number(metadata.annotations!['flashcopy.dev/renew-after']) * 1000;
    assert.equal(Math.round((renewAfter - validFromDate.getTime()) / 86_400_000), (validDays * 2) / 3);
    assert.equal(metadata.annotations!['flashcopy.dev/renewal'], 'spring');
  });
});

describeChart('Certificates from elsewhere', () => {
  it('come from cert-manager with the names that the roles need, in the Secrets that they read', async () => {
    const objects = await rendered({ values: { tls: { source: 'certManager' } } });
    const certificate = (name: string) => the(objects, 'Certificate', name).spec!;
    assert.deepEqual(certificate('-controller')['dnsNames'], [CONTROLLER_NAME]);
    assert.deepEqual(certificate('-engine')['dnsNames'], ['*.engine.flashcopy.dev']);
    for (const role of ['-controller', '-engine'])
      assert.deepEqual(certificate(role)['issuerRef'], { kind: 'Issuer', name: 'flashcopy-csi-ca' });
    assert.equal(certificate('-ca')['isCA'], true);
    assert.ok(!objects.some(({ kind }) => kind === 'Secret'));
  });

  it('come from an issuer of yours', async () => {
    const issuerRef = { kind: 'ClusterIssuer', name: 'internal' };
    const text = await renderedText({
      values: { tls: { source: 'certManager', certManager: { issuerRef } } },
    });
    assert.doesNotMatch(text, /kind: Issuer/);
    assert.match(text, /kind: ClusterIssuer\n {4}name: internal/);
  });
});
