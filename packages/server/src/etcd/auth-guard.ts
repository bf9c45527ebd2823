import {
  Auth,
  Cluster,
  type DescService,
  Election,
  KV,
  Lease,
  Lock,
  Maintenance,
  Watch,
  type WatchRequest,
  type WatchResponseSchema,
  type MessageInitShape,
} from 'waymark/etcd';
import { assert } from 'waymark/engine';
import type { Access } from '../access/access.js';
import type { Call, StreamCall, StreamHandlerOf, UnaryHandler } from '../grpc/call.js';
import type { Method } from '../grpc/methods.js';
import { grpcCode, type GrpcCode, GrpcError } from '../grpc/status.js';
import { whenOver } from '../grpc/when-over.js';
import { Caller } from './auth-caller.js';
import { FollowedCall, FollowedStream, Lasting } from './auth-lasting.js';
import {
  authRules,
  clusterRules,
  electionRules,
  kvRules,
  leaseRules,
  lockRules,
  maintenanceRules,
  type Rule,
  type RulesOf,
  watchRules,
} from './auth-rules.js';
import { explain, isAbsentLease } from './errors.js';
import { type Ground, namespaceOf } from './ground.js';

/** The rule of each method, by its path. */
export const ruleOf: ReadonlyMap<string, Rule> = new Map([
  ...rulesOf(KV, kvRules),
  ...rulesOf(Watch, watchRules),
  ...rulesOf(Lease, leaseRules),
  ...rulesOf(Lock, lockRules),
  ...rulesOf(Election, electionRules),
  ...rulesOf(Cluster, clusterRules),
  ...rulesOf(Maintenance, maintenanceRules),
  ...rulesOf(Auth, authRules),
]);

function rulesOf<S extends DescService>(service: S, rules: RulesOf<S>): [string, Rule][] {
  const byName = rules as Readonly<Record<string, Rule>>;
  return service.methods.flatMap(({ localName, name }) => {
    const rule = byName[localName];
    return rule === undefined ? [] : [[`/${service.typeName}/${name}`, rule]];
  });
}

/** Methods, each of them behind its rule once access is controlled. @throws for a method without a rule */
export function guarded(
  methods: readonly Method[],
  ground: Ground,
  access: Access,
): readonly Method[] {
  return methods.map((method): Method => {
    const rule = ruleOf.get(method.path);
    assert(rule !== undefined, `${method.path} has a rule`);
    const gate = new Gate(method.path, rule, ground, access);
    return method.kind === 'unary'
      ? { ...method, handle: gate.unary(method.handle, method.load) }
      : { ...method, handle: gate.stream(method.handle) };
  });
}

/** How each denial of these services is told: without the code that it has elsewhere. */
const codeless = [`/${Lock.typeName}/`, `/${Election.typeName}/`];
const maintenance = ['Hash', 'HashKV', 'Defragment', 'Snapshot'];
const bare = new Set(maintenance.map((name) => `/${Maintenance.typeName}/${name}`));
const open = `/${Auth.typeName}/Authenticate`;
const watch = `/${Watch.typeName}/Watch`;
const timeToLive = `/${Lease.typeName}/LeaseTimeToLive`;
const keepAlive = `/${Lease.typeName}/LeaseKeepAlive`;

/** One method's rule at its door. */
class Gate {
  readonly #path: string;
  readonly #rule: Rule;
  readonly #ground: Ground;
  readonly #access: Access;

  constructor(path: string, rule: Rule, ground: Ground, access: Access) {
    this.#path = path;
    this.#rule = rule;
    this.#ground = ground;
    this.#access = access;
  }

  unary(
    handle: UnaryHandler<unknown, unknown>,
    load: Method['load'],
  ): UnaryHandler<unknown, unknown> {
    if (load === 'waits') return (request, call) => this.#waiting(handle, request, call);
    return (request, call) =>
      this.#isOpen ? handle(request, call) : this.#admitted(handle, request, call);
  }

  stream(handle: StreamHandlerOf<unknown, unknown>): StreamHandlerOf<unknown, unknown> {
    return (call) => this.#streamed(handle, call);
  }

  /** Who waits for others is told when rules change that it waits in vain. */
  async #waiting(
    handle: UnaryHandler<unknown, unknown>,
    request: unknown,
    call: Call,
  ): Promise<unknown> {
    const lasting = this.#lastingOf(call);
    lasting.add(request);
    const followed = new FollowedCall(call, lasting);
    try {
      return await (this.#isOpen
        ? handle(request, followed)
        : this.#admitted((asked) => handle(asked, followed), request, call));
    } catch (error) {
      throw lasting.reason ?? error;
    } finally {
      lasting.close();
    }
  }

  /** What is told for long is looked at again when rules change, with all that was asked for. */
  async #streamed(
    handle: StreamHandlerOf<unknown, unknown>,
    call: StreamCall<unknown, unknown>,
  ): Promise<void> {
    const lasting = this.#lastingOf(call);
    const admits = async (request: unknown): Promise<boolean> => {
      const stays = this.#path === watch ? isCreate(request) : this.#path !== keepAlive;
      if (stays) lasting.add(request);
      const admitted = await this.#admits(request, call);
      if (stays && !admitted) lasting.drop();
      return admitted;
    };
    try {
      const over = whenOver(lasting.signal);
      // A handler may wait for its client to read: who is ended is told at once.
      await Promise.race([over, handle(new FollowedStream({ call, lasting, admits }))]);
    } catch (error) {
      throw lasting.reason ?? error;
    } finally {
      lasting.close();
    }
  }

  #lastingOf(call: Call): Lasting {
    return new Lasting({
      access: this.#access,
      call,
      check: async (request) => void (await this.#check(request, call)),
      known: () => {
        try {
          new Caller(this.#ground, this.#access, call).token();
        } catch (error) {
          throw this.#told(explain(error));
        }
      },
    });
  }

  get #isOpen(): boolean {
    return !this.#access.on || this.#path === open;
  }

  async #admitted(
    handle: UnaryHandler<unknown, unknown>,
    request: unknown,
    call: Call,
  ): Promise<unknown> {
    const caller = await this.#check(request, call).catch((error: unknown) => {
      if (this.#path !== timeToLive || !isAbsentLease(error)) throw error;
      return null;
    });
    if (caller === null) return await this.#noLease(request, -1n);
    // Of a rule that asked nothing a bad token is bad all the same.
    caller.token();
    const answer = await handle(request, call);
    if (caller.reads) caller.stillValid();
    return answer;
  }

  /** @returns whether the handler gets to see this request of a conversation */
  async #admits(request: unknown, call: StreamCall<unknown, unknown>): Promise<boolean> {
    if (this.#isOpen) return true;
    try {
      await this.#check(request, call);
      return true;
    } catch (error) {
      if (this.#path === watch) await call.send(await this.#noWatch(explain(error)));
      else if (this.#path === keepAlive && isAbsentLease(error))
        await call.send(await this.#noLease(request, 0n));
      else throw error;
      return false;
    }
  }

  /** A watch that may not be is answered in its conversation, which goes on. */
  async #noWatch({
    code,
    message,
  }: GrpcError): Promise<MessageInitShape<typeof WatchResponseSchema>> {
    const { revision } = await this.#ground.host.status();
    return {
      header: this.#ground.header(revision),
      watchId: -1n,
      created: true,
      canceled: true,
      cancelReason: `rpc error: code = ${goNames.get(code) ?? 'Unknown'} desc = ${message}`,
    };
  }

  /** As of one that never was: somebody else's is not there. */
  async #noLease(request: unknown, TTL: bigint): Promise<object> {
    const { ID } = request as { readonly ID: bigint };
    const { revision } = await this.#ground.host.status();
    return { header: this.#ground.header(revision), ID, TTL };
  }

  async #check(request: unknown, call: Call): Promise<Caller> {
    const caller = new Caller(this.#ground, this.#access, call);
    try {
      // Permissions are about the namespace that is served; another is none of a user's business.
      if (namespaceOf(this.#ground, call) !== this.#ground.namespace) caller.root();
      await this.#rule(request, caller);
    } catch (error) {
      throw this.#told(explain(error));
    }
    return caller;
  }

  #told(error: GrpcError): GrpcError {
    if (codeless.some((service) => this.#path.startsWith(service))) {
      return new GrpcError(grpcCode.unknown, error.message, error);
    }
    if (!bare.has(this.#path)) return error;
    const text = error.message.replace(/^etcdserver: /, 'auth: ');
    return new GrpcError(grpcCode.unknown, text, error);
  }
}

/** As grpc-go spells them. */
const goNames: ReadonlyMap<GrpcCode, string> = new Map([
  [grpcCode.invalidArgument, 'InvalidArgument'],
  [grpcCode.permissionDenied, 'PermissionDenied'],
  [grpcCode.unauthenticated, 'Unauthenticated'],
]);

function isCreate(request: unknown): boolean {
  return (request as WatchRequest).requestUnion.case === 'createRequest';
}
