/**
 * The way to one engine over gRPC, and what happens when it breaks.
 *
 * Every call has a deadline, so that nobody waits for an engine that hangs. One whose answer was lost is asked again
 * until its deadline: an engine that is killed is started again within seconds, and every call of EngineApi is safe to
 * repeat. An engine that stays away is given up earlier, and one that is not there at all (no socket, wrong
 * certificates) at once.
 */
import { existsSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  type CallOptions,
  type ChannelOptions,
  type ClientUnaryCall,
  connectivityState,
  credentials,
  InterceptingCall,
  type Interceptor,
  type requestCallback,
  type ServiceError,
} from '@grpc/grpc-js';
import { assert, FlashCopyError } from '../base/errors.ts';
import { currentRequest } from '../base/request.ts';
import { type Endpoint, parseEndpoint } from './endpoint.ts';
import type { EngineClient } from './generated/flashcopy/engine/v1/Engine.ts';
import { engineService, REQUEST_KEY } from './service.ts';
import { errorOf, type Failure, failureOf } from './status.ts';
import { clientCredentials } from './tls-credentials.ts';
import { engineNameOf, type TlsDirectory } from './tls-directory.ts';

export type RemoteOptions = {
  /** For an endpoint over TLS: the caller's own certificates, and the node whose engine has to answer there. */
  tls?: TlsDirectory;
  node?: string;
  /** How long an engine that does not answer is waited for. */
  awayMs?: number;
};

/** `again`: it is asked once more, and what was asked may have taken effect. */
export type Start<Answer> = (
  options: CallOptions,
  callback: requestCallback<Answer>,
  again: boolean,
) => ClientUnaryCall;

/** What a refusal means for one who asks again. It answers, or fails with what it was given if that explains nothing. */
export type Reconsider<Answer> = (refusal: FlashCopyError) => Promise<Answer>;

const AWAY_MS = 30_000;
const PAUSE_MS = 50;
const PAUSE_MS_MAX = 1000;
/** A request that ends the engine each time must not go on doing so. */
const LOST_MAX = 10;

const RECONNECT: ChannelOptions = {
  'grpc.initial_reconnect_backoff_ms': 100,
  'grpc.min_reconnect_backoff_ms': 100,
  'grpc.max_reconnect_backoff_ms': 1000,
  // All volumes and snapshots of a node are one answer.
  'grpc.max_receive_message_length': -1,
};
/** A node that lost its power says nothing: it is asked for a sign of life while calls wait for it. */
const OVER_TCP: ChannelOptions = {
  'grpc.keepalive_time_ms': 10_000,
  'grpc.keepalive_timeout_ms': 5000,
  'grpc.enable_http_proxy': 0,
  'grpc.use_local_subchannel_pool': 1,
};

export class Connection {
  private readonly name: string;
  private readonly endpoint: Endpoint;
  private readonly tls: TlsDirectory | undefined;
  private readonly serverName: string;
  private readonly awayMs: number;
  private current: { client: EngineClient; tlsVersion: number };

  constructor(endpoint: string, { tls, node, awayMs = AWAY_MS }: RemoteOptions) {
    this.name = endpoint;
    this.endpoint = parseEndpoint(endpoint);
    this.awayMs = awayMs;
    if (this.endpoint.kind === 'tls' && (tls === undefined || node === undefined))
      throw new FlashCopyError(
        'InvalidArgument',
        `The endpoint ${endpoint} needs the directory with the certificates (--tls-dir) and the node whose engine is there (--node-id).`,
      );
    this.tls = tls;
    this.serverName = node === undefined ? '' : engineNameOf(node);
    this.current = this.connect();
  }

  /** Over TLS, with the certificates that are valid now. */
  get client(): EngineClient {
    this.tls?.refresh();
    if (this.endpoint.kind === 'tls' && this.tls?.version !== this.current.tlsVersion) {
      // Calls under way go on over the former connection.
      this.current.client.close();
      this.current = this.connect();
    }
    return this.current.client;
  }

  close(): void {
    this.current.client.close();
  }

  /** `what` completes the sentence "... did not reach the engine". */
  async call<Answer>(
    what: string,
    limitMs: number,
    start: Start<Answer>,
    reconsider?: Reconsider<Answer>,
  ): Promise<Answer> {
    const deadline = Date.now() + limitMs;
    let lost = 0;
    let awaySince = Date.now();
    for (let pauseMs = PAUSE_MS; ; pauseMs = Math.min(pauseMs * 2, PAUSE_MS_MAX)) {
      const until = Math.min(deadline, awaySince + this.awayMs);
      await this.reachable(until, lost > 0);
      const tried = await once(start, deadline, lost > 0);
      if ('answer' in tried) return tried.answer;
      const failure = failureOf(tried.error);
      const error = errorOf(tried.error, this.asked(what), lost > 0);
      if (failure === 'refused' && lost > 0 && reconsider) return reconsider(error);
      if (!isWorthRepeating(failure)) throw error;
      if (failure === 'lost') {
        lost += 1;
        awaySince = Date.now();
      }
      if (lost > LOST_MAX || Date.now() + pauseMs >= until) throw error;
      await sleep(pauseMs);
    }
  }

  /** Waits until there is a connection, or a failed attempt at one, of which the next call will tell the reason. */
  async reachable(until = Date.now() + this.awayMs, again = false): Promise<void> {
    if (this.endpoint.kind === 'unix' && !existsSync(this.endpoint.path))
      throw this.none('there is no such socket', again);
    const channel = this.client.getChannel();
    for (;;) {
      const state = channel.getConnectivityState(true);
      if (state !== connectivityState.IDLE && state !== connectivityState.CONNECTING) return;
      const timedOut = await new Promise((resolve) =>
        channel.watchConnectivityState(state, until, (error) => resolve(error !== undefined)),
      );
      if (timedOut) throw this.none('it could not be connected to in time', again);
    }
  }

  asked(what: string): string {
    return `${what[0]!.toUpperCase()}${what.slice(1)} (${this.name})`;
  }

  private none(found: string, again: boolean): FlashCopyError {
    const hint =
      this.endpoint.kind === 'unix'
        ? 'Start one with "flashcopy engine", or name its --endpoint.'
        : 'Look whether its node is up and reachable.';
    const effect = again ? ' What was asked may have taken effect before it went away.' : '';
    return new FlashCopyError('Unavailable', `No engine answers at ${this.name}: ${found}. ${hint}${effect}`);
  }

  private connect(): { client: EngineClient; tlsVersion: number } {
    const Client = engineService();
    if (this.endpoint.kind === 'unix') {
      const client = new Client(`unix:${this.endpoint.path}`, credentials.createInsecure(), RECONNECT);
      return { client, tlsVersion: 0 };
    }
    assert(this.tls !== undefined, 'an endpoint over TLS has certificates');
    const client = new Client(`dns:${this.endpoint.address}`, clientCredentials(this.tls.material), {
      ...RECONNECT,
      ...OVER_TCP,
      'grpc.ssl_target_name_override': this.serverName,
    });
    return { client, tlsVersion: this.tls.version };
  }
}

/** The engine logs under the same id as the one that asks it. */
const bearRequest: Interceptor = (options, next) =>
  new InterceptingCall(next(options), {
    start: (metadata, listener, go) => {
      const request = currentRequest();
      if (request !== undefined) metadata.set(REQUEST_KEY, request);
      go(metadata, listener);
    },
  });

const isWorthRepeating = (failure: Failure) => failure === 'lost' || failure === 'away';

function once<Answer>(
  start: Start<Answer>,
  deadline: number,
  again: boolean,
): Promise<{ answer: Answer } | { error: ServiceError }> {
  return new Promise((resolve) => {
    start(
      { deadline, interceptors: [bearRequest] },
      (error, answer) => resolve(error ? { error } : { answer: answer! }),
      again,
    );
  });
}
