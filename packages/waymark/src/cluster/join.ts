import { WaymarkError, errorCodes, type ErrorCode } from '../core/errors.js';
import type { Peer } from './member-file.js';

/** What who wants to join tells, `POST /v1/cluster/join`. */
export interface JoinRequest {
  readonly token: string;
  readonly name: string;
  /** Where its etcd will be reached by the others. */
  readonly peerUrl: string;
}

/** What it needs to start its etcd. */
export interface JoinGrant {
  /** Its own. */
  readonly id: string;
  readonly clusterToken: string;
  readonly members: readonly Peer[];
}

export const joinPath = '/v1/cluster/join';
const joinMs = 60_000;

/** @throws {WaymarkError} as the server answers; `unavailable` when it does not; `invalid` */
export async function askToJoin(
  from: string,
  request: JoinRequest,
  signal?: AbortSignal,
): Promise<JoinGrant> {
  let url: URL;
  try {
    url = new URL(joinPath, /^https?:\/\//.test(from) ? from : `http://${from}`);
  } catch (error) {
    throw new WaymarkError('invalid', `'${from}' is no address of a server`, {}, error);
  }
  const late = AbortSignal.timeout(joinMs);
  const answer = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(request),
    redirect: 'error',
    signal: signal === undefined ? late : AbortSignal.any([signal, late]),
  }).catch((cause: unknown) => {
    signal?.throwIfAborted();
    throw new WaymarkError('unavailable', `no member answers at ${url.origin}`, {}, cause);
  });
  const body = (await answer.json().catch(() => ({}))) as Partial<JoinGrant> & Problem;
  if (!answer.ok) throw refusal(url, answer.status, body);
  if (typeof body.id !== 'string' || !Array.isArray(body.members))
    throw new WaymarkError('invalid', `${url.origin} is no member of a cluster`);
  return body as JoinGrant;
}

interface Problem {
  readonly code?: unknown;
  readonly detail?: unknown;
}

function refusal(url: URL, status: number, { code, detail }: Problem): WaymarkError {
  const known = errorCodes.includes(code as ErrorCode) ? (code as ErrorCode) : 'unavailable';
  if (status === 404)
    return new WaymarkError(
      'not_found',
      `${url.origin} serves no cluster: name a server that does`,
    );
  const why = typeof detail === 'string' ? detail : `status ${status}`;
  return new WaymarkError(known, `${url.origin} refuses: ${why}`);
}
