/**
 * Serves CSI services on a unix socket that only its owner may open (api/unix-listener.ts).
 *
 * Every call gets an id, under which the log has what was asked, without secrets, and how it ended. Errors become
 * statuses in one place (status.ts). A caller that goes away ends a streamed answer, not a change that has begun.
 */
import {
  type handleServerStreamingCall,
  type handleUnaryCall,
  Server,
  status,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js';
import { type Listening, listenOnUnix } from '../api/unix-listener.ts';
import { log } from '../base/log.ts';
import { newRequestId, withRequest } from '../base/request.ts';
import { Redactor } from './secrets.ts';
import { type CsiServices, csiDefinitions } from './services.ts';
import { csiStatusOf } from './status.ts';

/** Is told how each call ended: 'Node/NodeStageVolume', 'OK', how long it took. */
export type CallObserver = (method: string, code: string, ms: number) => void;

export async function serveCsi(
  services: CsiServices,
  endpoint: string,
  observer: CallObserver = () => undefined,
): Promise<Listening> {
  const server = new Server();
  const definitions = csiDefinitions();
  const redactor = new Redactor();
  for (const [name, service] of Object.entries(services)) {
    const { service: definition } = definitions[name as keyof CsiServices];
    const handlers: UntypedServiceImplementation = {};
    for (const [method, { responseStream }] of Object.entries(definition)) {
      const act: unknown = service[method as keyof typeof service];
      if (typeof act !== 'function') continue; // answered with UNIMPLEMENTED
      const journal = new Journal(redactor, `${name}/${method}`, observer);
      const bound = act.bind(service);
      handlers[method] = responseStream ? streamed(journal, bound) : unary(journal, bound);
    }
    server.addService(definition, handlers);
  }
  return listenOnUnix(server, endpoint);
}

/** Calls that change nothing and come again and again. */
const QUIET = /\/(Probe|GetPlugin|GetCapacity|List|Get|Validate|.*GetCapabilities|NodeGet|ControllerGet)/;

/** What the log has of one kind of call. */
class Journal {
  readonly call: string;
  private readonly redactor: Redactor;
  private readonly level: 'debug' | 'info';
  private readonly observer: CallObserver;

  constructor(redactor: Redactor, call: string, observer: CallObserver) {
    this.redactor = redactor;
    this.call = call;
    this.observer = observer;
    this.level = QUIET.test(call) ? 'debug' : 'info';
  }

  begin(message: object): {
    id: string;
    done(): void;
    failed(error: unknown): ReturnType<typeof csiStatusOf>;
  } {
    const id = newRequestId();
    const { call, level } = this;
    const beganAt = performance.now();
    const ended = (code: string) => {
      const ms = performance.now() - beganAt;
      this.observer(call, code, ms);
      return Math.round(ms * 10) / 10;
    };
    if (log.isLevelEnabled(level))
      log.log(level, 'CSI call', { call, request: id, asked: this.redactor.request(call, message) });
    return {
      id,
      done: () => log.log(level, 'CSI call answered', { call, request: id, ms: ended('OK') }),
      failed: (error) => {
        const answer = csiStatusOf(error, id);
        log.warn('CSI call failed', {
          call,
          request: id,
          ms: ended(status[answer.code]),
          status: status[answer.code],
          error: answer.details,
        });
        return answer;
      },
    };
  }
}

function unary(journal: Journal, act: (request: object) => Promise<object>): handleUnaryCall<object, object> {
  return async (call, callback) => {
    const entry = journal.begin(call.request);
    let answer: object;
    try {
      answer = await withRequest(entry.id, () => act(call.request));
    } catch (error) {
      return callback(entry.failed(error));
    }
    entry.done();
    callback(null, answer);
  };
}

function streamed(
  journal: Journal,
  act: (request: object, gone: AbortSignal) => AsyncIterable<object>,
): handleServerStreamingCall<object, object> {
  return async (call) => {
    const entry = journal.begin(call.request);
    const gone = new AbortController();
    call.on('cancelled', () => gone.abort());
    try {
      for await (const answer of act(call.request, gone.signal)) {
        if (gone.signal.aborted) break;
        if (call.write(answer)) continue;
        await new Promise<void>((resolve) => {
          call.once('drain', resolve);
          gone.signal.addEventListener('abort', () => resolve(), { once: true });
        });
      }
      entry.done();
      call.end();
    } catch (error) {
      call.emit('error', entry.failed(error));
    }
  };
}
