import type { ChannelInterface } from '@grpc/grpc-js';
import type { Grpc } from './grpc.js';

/**
 * Remembers whether the connection of a channel stood. How it stands at the end of a call does not tell whether the request was sent: a
 * member that takes leave keeps answering what is under way on a connection that no longer counts as one.
 */
export class Standing {
  readonly #channel: ChannelInterface;
  readonly #states: Grpc['connectivityState'];
  #times = 0;
  #stands = false;

  constructor(channel: ChannelInterface, states: Grpc['connectivityState']) {
    this.#channel = channel;
    this.#states = states;
    this.#look();
  }

  /** @returns tells whether it stood at any time from now on: a request may have been sent on it */
  fromNow(): () => boolean {
    const times = this.#times;
    const stands = this.#stands;
    return () => stands || this.#times > times;
  }

  #look(): void {
    const state = this.#channel.getConnectivityState(false);
    this.#stands = state === this.#states.READY;
    if (this.#stands) this.#times++;
    if (state === this.#states.SHUTDOWN) return;
    this.#channel.watchConnectivityState(state, Infinity, () => this.#look());
  }
}
