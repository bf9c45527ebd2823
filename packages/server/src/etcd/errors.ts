import { errorTable, isWaymarkError, type WaymarkError } from 'waymark/engine';
import { type GrpcCode, grpcCode, GrpcError } from '../grpc/status.js';

/**
 * What etcd tells its clients, word by word (api/v3rpc/rpctypes/error.go): they tell errors apart by these texts.
 */
const known = {
  emptyKey: [grpcCode.invalidArgument, 'key is not provided'],
  keyNotFound: [grpcCode.invalidArgument, 'key not found'],
  valueProvided: [grpcCode.invalidArgument, 'value is provided'],
  leaseProvided: [grpcCode.invalidArgument, 'lease is provided'],
  tooManyOps: [grpcCode.invalidArgument, 'too many operations in txn request'],
  duplicateKey: [grpcCode.invalidArgument, 'duplicate key given in txn request'],
  invalidSortOption: [grpcCode.invalidArgument, 'invalid sort option'],
  compacted: [grpcCode.outOfRange, 'mvcc: required revision has been compacted'],
  futureRevision: [grpcCode.outOfRange, 'mvcc: required revision is a future revision'],
  noSpace: [grpcCode.resourceExhausted, 'mvcc: database space exceeded'],
  leaseNotFound: [grpcCode.notFound, 'requested lease not found'],
  leaseExists: [grpcCode.failedPrecondition, 'lease already exists'],
  leaseTtlTooLarge: [grpcCode.outOfRange, 'too large lease TTL'],
  requestTooLarge: [grpcCode.invalidArgument, 'request is too large'],
  tooManyRequests: [grpcCode.resourceExhausted, 'too many requests'],
  rootUserNotExist: [grpcCode.failedPrecondition, 'root user does not exist'],
  rootRoleNotExist: [grpcCode.failedPrecondition, 'root user does not have root role'],
  userAlreadyExists: [grpcCode.failedPrecondition, 'user name already exists'],
  userEmpty: [grpcCode.invalidArgument, 'user name is empty'],
  userNotFound: [grpcCode.failedPrecondition, 'user name not found'],
  roleAlreadyExists: [grpcCode.failedPrecondition, 'role name already exists'],
  roleNotFound: [grpcCode.failedPrecondition, 'role name not found'],
  roleEmpty: [grpcCode.invalidArgument, 'role name is empty'],
  authFailed: [grpcCode.invalidArgument, 'authentication failed, invalid user ID or password'],
  permissionNotGiven: [grpcCode.invalidArgument, 'permission not given'],
  permissionDenied: [grpcCode.permissionDenied, 'permission denied'],
  roleNotGranted: [grpcCode.failedPrecondition, 'role is not granted to the user'],
  permissionNotGranted: [grpcCode.failedPrecondition, 'permission is not granted to the role'],
  authNotEnabled: [grpcCode.failedPrecondition, 'authentication is not enabled'],
  invalidAuthToken: [grpcCode.unauthenticated, 'invalid auth token'],
  invalidAuthMgmt: [grpcCode.invalidArgument, 'invalid auth management'],
  authOldRevision: [grpcCode.invalidArgument, 'revision of auth store is old'],
  noLeader: [grpcCode.unavailable, 'no leader'],
  notLeader: [grpcCode.failedPrecondition, 'not leader'],
  stopped: [grpcCode.unavailable, 'server stopped'],
  timeout: [grpcCode.unavailable, 'request timed out'],
  corrupt: [grpcCode.dataLoss, 'corrupt cluster'],
  memberBadUrls: [grpcCode.invalidArgument, 'given member URLs are invalid'],
  memberNotFound: [grpcCode.notFound, 'member not found'],
  memberNotLearner: [grpcCode.failedPrecondition, 'can only promote a learner member'],
  badLeaderTransferee: [grpcCode.failedPrecondition, 'bad leader transferee'],
} as const satisfies Record<string, readonly [GrpcCode, string]>;

export type EtcdErrorName = keyof typeof known;

export function etcdError(name: EtcdErrorName, cause?: unknown): GrpcError {
  const [code, text] = known[name];
  return new GrpcError(code, `etcdserver: ${text}`, cause);
}

export function isAbsentLease(error: unknown): boolean {
  return error instanceof GrpcError && error.message === etcdError('leaseNotFound').message;
}

/** What a client of etcd is told of any error. */
export function explain(error: unknown): GrpcError {
  if (error instanceof GrpcError) return error;
  if (isWaymarkError(error)) return explainKnown(error);
  if ((error as Error | undefined)?.name === 'AbortError') return etcdError('stopped', error);
  return new GrpcError(grpcCode.internal, 'waymark: internal error', error);
}

/**
 * etcd's servers of locks and elections are clients of it themselves: what it refuses reaches their clients in its words, without its code.
 * What is worth another try still says so.
 */
export async function withoutCode<T>(answer: Promise<T>): Promise<T> {
  try {
    return await answer;
  } catch (error) {
    const { code, message } = explain(error);
    if (code === grpcCode.unavailable) throw error;
    throw new GrpcError(grpcCode.unknown, message, error);
  }
}

function explainKnown(error: WaymarkError): GrpcError {
  const { code, facts } = error;
  if (code === 'compacted') return etcdError('compacted', error);
  if (code === 'future_revision') return etcdError('futureRevision', error);
  if (code === 'storage_full') return etcdError('noSpace', error);
  if (code === 'corrupt') return etcdError('corrupt', error);
  if (code === 'overloaded') return etcdError('tooManyRequests', error);
  if (code === 'uncertain' || code === 'timeout') return etcdError('timeout', error);
  if (code === 'not_found') {
    return etcdError(facts.lease === undefined ? 'keyNotFound' : 'leaseNotFound', error);
  }
  if (code === 'too_large') {
    const ops = facts.limit === 'operationsMax' || facts.limit === 'checksMax';
    return etcdError(ops ? 'tooManyOps' : 'requestTooLarge', error);
  }
  return new GrpcError(errorTable[code].grpc as GrpcCode, `waymark: ${error.message}`, error);
}
