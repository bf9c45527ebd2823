/** What is used of @xmpp/client 0.14, which brings no types. */
export interface XmppLibrary {
  client(options: XmppClientOptions): XmppClient;
  /** Builds an element. Attributes and texts are escaped when it is written; children that are undefined are left out. */
  xml(
    name: string,
    attributes: Readonly<Record<string, string | undefined>>,
    ...children: readonly (XmppElement | string | undefined)[]
  ): XmppElement;
}

export interface XmppClientOptions {
  readonly service: string;
  readonly domain: string;
  /** Asked once the server has told its mechanisms. */
  readonly credentials: (
    authenticate: (account: object, mechanism: string, agent: XmppElement) => Promise<void>,
    mechanisms: readonly string[],
    fast: unknown,
    client: XmppClient,
  ) => Promise<void>;
}

export interface XmppElement {
  readonly name: string;
  readonly attrs: Readonly<Record<string, string | undefined>>;
  is(name: string, xmlns?: string): boolean;
  getChild(name: string, xmlns?: string): XmppElement | undefined;
  getChildren(name: string, xmlns?: string): readonly XmppElement[];
  getChildElements(): readonly XmppElement[];
  getChildText(name: string, xmlns?: string): string | null;
}

/** The socket itself before TLS, and what wraps it after. */
export interface XmppSocket {
  readonly socket?: XmppSocket | null;
  destroy?(): void;
  setNoDelay?(noDelay: boolean): void;
  on(event: 'error', heard: () => void): void;
}

export interface XmppClient {
  readonly parser: { write(text: string): void } | null;
  readonly status: string;
  timeout: number;
  readonly reconnect: { stop(): void };
  readonly iqCaller: { request(iq: XmppElement, timeoutMs: number): Promise<XmppElement> };
  readonly streamManagement: {
    readonly enabled: boolean;
    requestAckDebounce: number;
    on(event: 'ack', heard: (stanza: XmppElement) => void): void;
  };
  isSecure(): boolean;
  start(): Promise<unknown>;
  stop(): Promise<unknown>;
  send(element: XmppElement): Promise<void>;
  emit(event: 'error', error: unknown): void;
  on(event: 'stanza' | 'nonza', heard: (element: XmppElement) => unknown): void;
  on(event: 'error', heard: (error: unknown) => void): void;
  on(event: 'disconnect', heard: () => void): void;
  /** Of its own, and replaced: see connection.ts. */
  socketParameters: () => object;
  _attachSocket: (socket: XmppSocket) => void;
  _onData: (data: Buffer) => void;
  _onSeeOtherHost: () => void;
}

/** Loaded when the first connection is opened: who uses none need not install it. */
export async function loadXmpp(): Promise<XmppLibrary> {
  return (await import('@xmpp/client')) as XmppLibrary;
}
