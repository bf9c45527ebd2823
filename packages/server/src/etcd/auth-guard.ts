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
  type WatchResponseSchema,
  type MessageInitShape,
} from 'waymark/etcd';
import { assert } from 'waymark/engine';
import type { Access } from '../access/access.js';
import { endable } from '../access/standing.js';
import type { Call, StreamCall, StreamHandlerOf, UnaryHandler } from '../grpc/call.js';
import type { Method } from '../grpc/methods.js';
import { grpcCode, type GrpcCode, GrpcError } from '../grpc/status.js';
import { Caller } from './auth-caller.js';
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
import { explain } from './errors.js';
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
      ? { ...method, handle: gate.unary(method.handle) }
      : { ...method, handle: gate.stream(method.handle) };
  });
}

/** How each denial of these services is told: without the code that it has elsewhere. */
const codeless = [`/${Lock.typeName}/`, `/${Election.typeName}/`];
const maintenance = ['Hash', 'HashKV', 'Defragment', 'Snapshot'];
const bare = new Set(maintenance.map((name) => `/${Maintenance.typeName}/${name}`));
const open = `/${Auth.typeName}/Authenticate`;
const watch = `/${Watch.typeName}/Watch`;
const lasting: ReadonlySet<string> = new Set([watch, `/${Election.typeName}/Observe`]);

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

  unary(handle: UnaryHandler<unknown, unknown>): UnaryHandler<unknown, unknown> {
    return (request, call) =>
      this.#isOpen ? handle(request, call) : this.#admitted(handle, request, call);
  }

  stream(handle: StreamHandlerOf<unknown, unknown>): StreamHandlerOf<unknown, unknown> {
    if (!lasting.has(this.#path)) {
      return (call) => handle(new GuardedCall(call, (request) => this.#admits(request, call)));
    }
    return (call) => this.#lasting(handle, call);
  }

  /** What is told for long is looked at again when rules change, with all that was asked for. */
  async #lasting(
    handle: StreamHandlerOf<unknown, unknown>,
    call: StreamCall<unknown, unknown>,
  ): Promise<void> {
    const asked: unknown[] = [];
    const ending = endable(call.signal);
    const lookAgain = async (): Promise<void> => {
      if (this.#isOpen) return;
      for (const request of asked) await this.#check(request, call);
    };
    const leave = this.#access.standing.add({
      check: () => void lookAgain().catch(ending.end),
      end: ending.end,
    });
    const admits = async (request: unknown): Promise<boolean> => {
      const admitted = await this.#admits(request, call);
      if (admitted) asked.push(request);
      return admitted;
    };
    try {
      await handle(new GuardedCall(call, admits, ending.signal));
      // What ends because it was ended says why.
      if (ending.signal.aborted && !call.signal.aborted) throw ending.signal.reason;
    } finally {
      leave();
      ending.leave();
    }
  }

  get #isOpen(): boolean {
    return !this.#access.on || this.#path === open;
  }

  async #admitted(
    handle: UnaryHandler<unknown, unknown>,
    request: unknown,
    call: Call,
  ): Promise<unknown> {
    const caller = await this.#check(request, call);
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
      if (this.#path !== watch) throw error;
      await call.send(await this.#noWatch(explain(error)));
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

/** A conversation whose handler sees what its caller may ask for. */
class GuardedCall implements StreamCall<unknown, unknown> {
  readonly #call: StreamCall<unknown, unknown>;
  readonly #admits: (request: unknown) => Promise<boolean>;
  readonly signal: AbortSignal;

  constructor(
    call: StreamCall<unknown, unknown>,
    admits: (request: unknown) => Promise<boolean>,
    signal = call.signal,
  ) {
    this.#call = call;
    this.#admits = admits;
    this.signal = signal;
  }

  metadata(key: string): string | undefined {
    return this.#call.metadata(key);
  }

  get socket(): StreamCall<unknown, unknown>['socket'] {
    return this.#call.socket;
  }

  send(response: unknown): Promise<void> | undefined {
    return this.#call.send(response);
  }

  sendBytes(message: Uint8Array): Promise<void> | undefined {
    return this.#call.sendBytes(message);
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<unknown> {
    for await (const request of this.#call) {
      if (await this.#admits(request)) yield request;
    }
  }
}
