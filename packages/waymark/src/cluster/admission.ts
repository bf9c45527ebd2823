import { isIP } from 'node:net';
import type { Clock } from '../core/clock.js';
import { WaymarkError } from '../core/errors.js';
import type { EtcdClient } from '../engines/etcd/etcd-client.js';
import { addLearner, membersOf, removeMember } from './etcd-members.js';
import type { JoinGrant, JoinRequest } from './join.js';
import { redeemToken } from './tokens.js';

/** Who was let in and has not started by then is taken out again: a learner in the way keeps others from joining. */
const startWithinMs = 5 * 60_000;

export interface AdmissionOptions {
  readonly clock: Clock;
  readonly clusterToken: string;
  /** Of the members' ports. */
  readonly scheme: 'http' | 'https';
  readonly withClient: <T>(work: (client: EtcdClient) => Promise<T>) => Promise<T>;
  readonly told: (message: string) => void;
}

/**
 * Lets one more member in, as a learner, for a token.
 *
 * @throws {WaymarkError} `unauthenticated`; `invalid`; `conflict` while another joins, or when the address is a member's;
 *   `unavailable`. The token can be used again after every refusal but that of itself
 */
export async function admit(options: AdmissionOptions, request: JoinRequest): Promise<JoinGrant> {
  const { clock, clusterToken, told } = options;
  checkRequest(request, options.scheme);
  return await options.withClient(async (client) => {
    const giveBack = await redeemToken(client, request.token);
    try {
      await refuseTaken(client, request);
      const members = await addLearner(client, request.peerUrl);
      const id = members.find(({ peerUrls }) => peerUrls.includes(request.peerUrl))?.id;
      if (id === undefined) throw new WaymarkError('internal', 'etcd does not list the new member');
      told(`let ${request.name} (${request.peerUrl}) in, as a learner`);
      clock.after(startWithinMs, () => {
        options.withClient((again) => removeUnstarted(again, id)).catch(() => undefined);
      });
      return { id, clusterToken, members };
    } catch (error) {
      await giveBack().catch(() => undefined);
      throw error;
    }
  });
}

/** @throws {WaymarkError} `invalid` */
function checkRequest({ token, name, peerUrl }: JoinRequest, scheme: string): void {
  const [, host = '', port] =
    /^https?:\/\/(\[[0-9a-fA-F:.]+\]|[\w.-]{1,253}):(\d{1,5})$/.exec(peerUrl) ?? [];
  if (/^https?:/.test(peerUrl) && !peerUrl.startsWith(`${scheme}:`)) throw otherTransport(scheme);
  const literal = host.startsWith('[') ? host.slice(1, -1) : null;
  if (!(Number(port) >= 1 && Number(port) <= 65_535) || (literal !== null && isIP(literal) !== 6))
    throw new WaymarkError('invalid', `'${peerUrl}' is no peer URL: http://HOST:PORT`);
  if (!/^[\w.-]{1,64}$/.test(name)) throw new WaymarkError('invalid', `'${name}' is no name`);
  if (token.length > 200) throw new WaymarkError('invalid', 'this is no token');
}

function otherTransport(scheme: string): WaymarkError {
  const text =
    scheme === 'https'
      ? 'the members of this cluster speak TLS: join with --tls-cert, --tls-key and --tls-ca'
      : 'the members of this cluster speak in the clear: join without TLS, or begin a cluster with it';
  return new WaymarkError('invalid', text);
}

async function refuseTaken(client: EtcdClient, { name, peerUrl }: JoinRequest): Promise<void> {
  const members = await membersOf(client);
  const unstarted = members.find((member) => member.learner && !member.peerUrls.includes(peerUrl));
  if (unstarted !== undefined) {
    const who = unstarted.name || unstarted.peerUrls.join(', ');
    throw new WaymarkError('conflict', `${who} is joining: try again when it has a vote`);
  }
  const taken = members.find((member) => member.name === name);
  if (taken !== undefined)
    throw new WaymarkError(
      'conflict',
      `there is a member ${name}: take another name, or let it leave`,
    );
}

async function removeUnstarted(client: EtcdClient, id: string): Promise<void> {
  const peer = (await membersOf(client)).find((member) => member.id === id);
  if (peer?.learner === true && peer.name === '') await removeMember(client, id);
}
