import { codes, ConnectionFault, windowBytesDefault } from './codes.js';
import type { Outlet } from './outlet.js';

/** So much of one request's body may be on its way, or wait in a stream that is paused. */
export const streamWindowBytes = 262_144;
/** And so much of all bodies of one connection. */
export const connectionWindowBytes = 8_388_608;

/** What the clients of one connection may still send, of all bodies together. */
export class ReceiveFlow {
  readonly #outlet: Outlet;
  #window = connectionWindowBytes;
  #taken = 0;

  constructor(outlet: Outlet) {
    this.#outlet = outlet;
  }

  /** Every connection begins with the window of the RFC. */
  begin(): void {
    this.#outlet.windowUpdate(0, connectionWindowBytes - windowBytesDefault);
  }

  /** @throws {ConnectionFault} FLOW_CONTROL_ERROR */
  take(bytes: number): void {
    this.#window -= bytes;
    if (this.#window < 0)
      throw new ConnectionFault(codes.flowControlError, 'more than the connection takes');
  }

  /** Lets the client send so much more, when enough has come together. */
  give(bytes: number): void {
    this.#taken += bytes;
    if (this.#taken < connectionWindowBytes / 2) return;
    this.#outlet.windowUpdate(0, this.#taken);
    this.#window += this.#taken;
    this.#taken = 0;
  }
}
