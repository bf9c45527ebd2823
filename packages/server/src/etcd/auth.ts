import type {
  Auth,
  AuthenticateRequest,
  AuthenticateResponseSchema,
  AuthRoleGetRequest,
  AuthRoleGetResponseSchema,
  AuthRoleGrantPermissionRequest,
  AuthStatusResponseSchema,
  AuthUserAddRequest,
  AuthUserChangePasswordRequest,
  AuthUserGetRequest,
  MessageInitShape,
} from 'waymark/etcd';
import type { Access } from '../access/access.js';
import { AccessEdits, AccessRefusal, type Refusal } from '../access/access-edits.js';
import { type AccessState, inOrder } from '../access/access-state.js';
import type { Edit } from '../access/access-store.js';
import type { Call } from '../grpc/call.js';
import type { Service } from '../grpc/methods.js';
import { grpcCode, GrpcError } from '../grpc/status.js';
import { grantOf, meantRange, permissionOf } from './auth-permissions.js';
import { etcdError, type EtcdErrorName } from './errors.js';
import type { Ground, Header } from './ground.js';

interface Headed {
  readonly header: Header;
}

/** Users, roles, and tokens for passwords. Who may call what the guard has said before anything comes here. */
export class AuthService {
  readonly #ground: Ground;
  readonly #access: Access;
  readonly #edits: AccessEdits;

  constructor(ground: Ground, access: Access) {
    this.#ground = ground;
    this.#access = access;
    this.#edits = new AccessEdits(access.store.layout);
  }

  get handlers(): Required<Service<typeof Auth>> {
    return {
      authEnable: (_, call) => this.#change(call, (edits, state) => edits.enable(state)),
      authDisable: (_, call) => this.#change(call, (edits, state) => edits.disable(state)),
      authStatus: () => this.status(),
      authenticate: (request) => this.authenticate(request),
      userAdd: (request, call) => this.userAdd(request, call),
      userChangePassword: (request, call) => this.userChangePassword(request, call),
      userDelete: ({ name }, call) =>
        this.#change(call, (edits, state) => edits.deleteUser(state, name)),
      userGrantRole: ({ user, role }, call) =>
        this.#change(call, (edits, state) => edits.grantRole(state, user, role)),
      userRevokeRole: ({ name, role }, call) =>
        this.#change(call, (edits, state) => edits.revokeRole(state, name, role)),
      userGet: (request) => this.userGet(request),
      userList: () => this.#answer((state) => ({ users: [...inOrder(state.users.keys())] })),
      roleAdd: ({ name }, call) => this.roleAdd(name, call),
      roleDelete: ({ role }, call) =>
        this.#change(call, (edits, state) => edits.deleteRole(state, role)),
      roleGrantPermission: (request, call) => this.roleGrantPermission(request, call),
      roleRevokePermission: ({ role, key, rangeEnd }, call) =>
        this.#change(call, (edits, state) =>
          edits.removeGrant(state, role, meantRange(key, rangeEnd)),
        ),
      roleGet: (request) => this.roleGet(request),
      roleList: () => this.#answer((state) => ({ roles: [...inOrder(state.roles.keys())] })),
    };
  }

  status(): Promise<MessageInitShape<typeof AuthStatusResponseSchema>> {
    return this.#answer(({ enabled, count }) => ({ enabled, authRevision: BigInt(count) }));
  }

  async authenticate({
    name,
    password,
  }: AuthenticateRequest): Promise<MessageInitShape<typeof AuthenticateResponseSchema>> {
    const { state } = this.#access;
    if (!state.enabled) throw etcdError('authNotEnabled');
    if (state.users.get(name)?.password === null) throw new GrpcError(grpcCode.unknown, noPassword);
    const token = await this.#access.logIn(name, password);
    if (token === null) throw etcdError('authFailed');
    return await this.#answer(() => ({ token }));
  }

  async userAdd(request: AuthUserAddRequest, call: Call): Promise<Headed> {
    const { name, password, options } = request;
    if (name === '') throw etcdError('userEmpty');
    const hashed = options?.noPassword === true ? null : await this.#hash(password);
    return await this.#change(call, (edits, state) => edits.addUser(state, name, hashed));
  }

  /** The empty password is one that nobody can show, as in etcd 3.5. */
  async userChangePassword(request: AuthUserChangePasswordRequest, call: Call): Promise<Headed> {
    const { name, password } = request;
    const hashed = password === '' ? '' : await this.#hash(password);
    return await this.#change(call, (edits, state) => edits.changePassword(state, name, hashed));
  }

  userGet({ name }: AuthUserGetRequest): Promise<Headed & { roles: string[] }> {
    return this.#answer((state) => {
      if (!state.users.has(name)) throw etcdError('userNotFound');
      return { roles: [...state.rolesOf(name)] };
    });
  }

  async roleAdd(name: string, call: Call): Promise<Headed> {
    if (name === '') throw etcdError('roleEmpty');
    return await this.#change(call, (edits, state) => edits.addRole(state, name));
  }

  async roleGrantPermission(request: AuthRoleGrantPermissionRequest, call: Call): Promise<Headed> {
    const { name, perm } = request;
    if (perm === undefined) throw etcdError('permissionNotGiven');
    const grant = grantOf(perm);
    return await this.#change(call, (edits, state) => edits.addGrant(state, name, grant));
  }

  roleGet({
    role: name,
  }: AuthRoleGetRequest): Promise<MessageInitShape<typeof AuthRoleGetResponseSchema>> {
    return this.#answer((state) => {
      const role = state.roles.get(name);
      if (role === undefined) throw etcdError('roleNotFound');
      return { perm: role.grants.map(permissionOf) };
    });
  }

  #hash(password: string): Promise<string> {
    return this.#access.passwords.hash(password);
  }

  async #change(
    { signal }: Call,
    plan: (edits: AccessEdits, state: AccessState) => Edit,
  ): Promise<Headed> {
    const refusable = (state: AccessState): Edit => {
      try {
        return plan(this.#edits, state);
      } catch (error) {
        throw error instanceof AccessRefusal ? etcdError(refusals[error.reason], error) : error;
      }
    };
    await this.#access.store.change(refusable, { signal });
    return await this.#answer(() => ({}));
  }

  async #answer<T extends object>(tell: (state: AccessState) => T): Promise<T & Headed> {
    const told = tell(this.#access.state);
    const { revision } = await this.#ground.host.status();
    return { ...told, header: this.#ground.header(revision) };
  }
}

const noPassword = 'auth: authentication failed, password was given for no password user';

const refusals: Readonly<Record<Refusal, EtcdErrorName>> = {
  root_user_absent: 'rootUserNotExist',
  root_role_absent: 'rootRoleNotExist',
  root_needed: 'invalidAuthMgmt',
  user_exists: 'userAlreadyExists',
  user_absent: 'userNotFound',
  role_exists: 'roleAlreadyExists',
  role_absent: 'roleNotFound',
  role_not_granted: 'roleNotGranted',
  grant_absent: 'permissionNotGranted',
  token_absent: 'invalidAuthMgmt',
};
