/**
 * A connection that breaks when it is told to: between a caller and an engine's socket, at the instant when the engine
 * has done what it was asked for and its answer is on the way.
 *
 * What passes is HTTP/2, a row of frames; an answer begins with a HEADERS frame from the server. Everything before it
 * (settings, acknowledgements) passes, so the request arrives; the answer does not.
 */
import { once } from 'node:events';
import { rmSync } from 'node:fs';
import net from 'node:net';

const FRAME_HEADER_BYTES = 9;
const HEADERS = 1;
const END_STREAM = 1;

export class CuttingProxy {
  readonly endpoint: string;
  /** Answers that were withheld. */
  cuts = 0;
  readonly #path: string;
  readonly #server: net.Server;
  readonly #sockets = new Set<net.Socket>();
  #passing = 0;
  #cutNext = 0;

  private constructor(path: string, target: string) {
    this.#path = path;
    this.endpoint = `unix://${path}`;
    this.#server = net.createServer((caller) => this.#connect(caller, net.connect(target)));
  }

  static async start(path: string, target: string): Promise<CuttingProxy> {
    const proxy = new CuttingProxy(path, target);
    proxy.#server.listen(path);
    await once(proxy.#server, 'listening');
    return proxy;
  }

  /** After this many that pass, the connection breaks instead of bringing the next answer, then that to the repetition. */
  cutNextAnswers(times: number, passing = 0): void {
    this.#passing = passing;
    this.#cutNext = times;
  }

  async stop(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
    await once(this.#server, 'close');
    rmSync(this.#path, { force: true });
  }

  #mayPass(frame: Buffer): boolean {
    if (this.#cutNext === 0) return true;
    if (this.#passing === 0) return false;
    // An answer has headers at its beginning and at its end.
    if ((frame[4]! & END_STREAM) !== 0) this.#passing -= 1;
    return true;
  }

  #connect(caller: net.Socket, engine: net.Socket): void {
    const end = () => {
      caller.destroy();
      engine.destroy();
    };
    for (const socket of [caller, engine]) {
      this.#sockets.add(socket);
      socket.on('error', end).on('close', () => {
        this.#sockets.delete(socket);
        end();
      });
    }
    caller.pipe(engine);
    let waiting = Buffer.alloc(0);
    engine.on('data', (data: Buffer) => {
      waiting = Buffer.concat([waiting, data]);
      for (let frame = firstFrame(waiting); frame !== undefined; frame = firstFrame(waiting)) {
        waiting = waiting.subarray(frame.length);
        if (frame[3] === HEADERS && !this.#mayPass(frame)) {
          this.#cutNext -= 1;
          this.cuts += 1;
          return end();
        }
        caller.write(frame);
      }
    });
  }
}

function firstFrame(bytes: Buffer): Buffer | undefined {
  if (bytes.length < FRAME_HEADER_BYTES) return undefined;
  const length = FRAME_HEADER_BYTES + bytes.readUIntBE(0, 3);
  return bytes.length < length ? undefined : bytes.subarray(0, length);
}
