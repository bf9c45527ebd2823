import {
  create,
  type DescMessage,
  type DescMethod,
  type DescService,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from 'waymark/etcd';
import type { StreamHandlerOf, UnaryHandler } from './call.js';

/** A method as the wire knows it. */
export type Method = {
  /** `/etcdserverpb.KV/Put` */
  readonly path: string;
  readonly description: DescMethod;
  readonly decode: (bytes: Uint8Array) => unknown;
  readonly encode: (message: unknown) => Uint8Array;
  /** How it bears on the bound of work under way: `urgent` is let through, what `waits` for others counts no more once it has begun. */
  readonly load: 'counts' | 'urgent' | 'waits';
} & (
  | { readonly kind: 'unary'; readonly handle: UnaryHandler<unknown, unknown> }
  | { readonly kind: 'stream'; readonly handle: StreamHandlerOf<unknown, unknown> }
);

type Handler<M> = M extends {
  readonly methodKind: infer Kind;
  readonly input: infer Input extends DescMessage;
  readonly output: infer Output extends DescMessage;
}
  ? Kind extends 'unary'
    ? UnaryHandler<MessageShape<Input>, MessageInitShape<Output>>
    : StreamHandlerOf<MessageShape<Input>, MessageInitShape<Output>>
  : never;

/** One handler for each method of a service, by its name; what is absent is answered with UNIMPLEMENTED. */
export type Service<S extends DescService> = {
  readonly [Name in keyof S['method']]?: Handler<S['method'][Name]>;
};

/** Messages by hand, for methods that are called so often that the general way would be most of what they cost. */
export type Codecs<S extends DescService> = {
  readonly [Name in keyof S['method']]?: {
    decode(bytes: Uint8Array): MessageShape<S['method'][Name]['input']>;
    encode(message: MessageInitShape<S['method'][Name]['output']>): Uint8Array;
  };
};

export function methodsOf<S extends DescService>(
  service: S,
  handlers: Service<S>,
  codecs: Codecs<S> = {},
): Method[] {
  return service.methods.flatMap((description) => {
    const handle: unknown = handlers[description.localName as keyof S['method']];
    if (handle === undefined) return [];
    const { input, output, methodKind, name } = description;
    return [
      {
        path: `/${service.typeName}/${name}`,
        description,
        decode: (bytes) => fromBinary(input, bytes),
        encode: (message) =>
          toBinary(output, create(output, message as MessageInitShape<typeof output>)),
        load: loadOf(name),
        ...codecs[description.localName as keyof S['method']],
        kind: methodKind === 'unary' ? 'unary' : 'stream',
        handle,
      } as Method,
    ];
  });
}

/** Keeps alive what is there, gives it back, or tells how the server is. */
const urgent = /^(LeaseKeepAlive|LeaseRevoke|LeaseTimeToLive|Unlock|Resign|Status)$/;
const waits = /^(Lock|Campaign)$/;

function loadOf(name: string): Method['load'] {
  if (urgent.test(name)) return 'urgent';
  return waits.test(name) ? 'waits' : 'counts';
}
