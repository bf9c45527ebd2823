/** The Engine waist and what an engine needs: for engines, wrappers, suites and servers. */
export * from './core/engine.js';
export type * from './core/host.js';
export { type Peers, type RecipeCall, type RecipeGround, recipeCall } from './core/recipe-call.js';
export { recipeCalls } from './recipes/calls.js';
export { election as electionCalls } from './recipes/election.js';
export {
  join as joinGroup,
  leave as leaveGroup,
  update as updateMember,
} from './recipes/members.js';
export * as semaphoreCalls from './recipes/semaphore.js';
export {
  claim as claimName,
  giveUp as giveUpName,
  release as releaseName,
} from './recipes/names.js';
export { encodeList as encodeNameList } from './space/name-lists.js';
export * from './core/errors.js';
export * from './core/limits.js';
export * from './core/bytes.js';
export * from './core/ranges.js';
export { withoutPassword } from './core/shown-url.js';
export * from './core/clock.js';
export * from './core/batch-sink.js';
export { isPlainLeaseId, leaseIdBytes, parseLeaseId, toLeaseId } from './core/lease-id.js';
export { validateWholeNumber } from './core/validate.js';
export { pause } from './core/pause.js';
export { Bell } from './core/bell.js';
export { soon } from './core/soon.js';
export { AlikeTimer } from './core/alike-timer.js';
export { joinedSignal, type JoinedSignal } from './core/joined-signal.js';
export { settledValue } from './core/settled.js';
export { systemClock, systemRandom } from './core/system-clock.js';
export { createMemoryEngine, type MemoryEngineOptions } from './engines/memory/memory-engine.js';
export { lockDirectory } from './engines/kit/directory-lock.js';
export * from './wrap/recorded.js';
export { faulty, type FaultyOptions } from './wrap/faulty.js';
export { ForwardingEngine } from './wrap/forward.js';
export { ForwardingHost } from './wrap/forward-host.js';
export { createLocalHost, type LocalHostOptions } from './space/local-host.js';
export { namespacePrefix } from './space/layout.js';
export { pathsInUse, type UseKind } from './space/in-use.js';
export { DeferredDesk } from './space/deferred-desk.js';
export { LazyStash, nodePeers, type StashReach } from './space/stash-desk.js';
export { createSpace, type SpaceOptions } from './space/space.js';
export { mirror, type MirrorEvent, type MirrorOptions, type MirrorState } from './wrap/mirror.js';
export { type EngineMeter, measured, type MeasuredCall } from './wrap/measured.js';
export { loadTracing } from './core/open-telemetry.js';
export { type TraceContext, traceContextOf, type Tracing } from './core/tracing.js';
export { traced } from './wrap/traced.js';
export { isTraced, tracedHost } from './wrap/traced-host.js';
export { within } from './wrap/within.js';
export { openEngine, type OpenOptions } from './open.js';
export { openFileEngine, type FileEngineOptions } from './engines/file/file-engine.js';
export { errorTable, type ErrorFaces } from './core/error-table.js';
export { HostNamespace } from './space/namespace.js';
export type { EventGroup } from './space/watch.js';
export * as messageCalls from './recipes/messages.js';
export { checkNamespaceName, resolvePath } from './space/paths.js';
export * as barrierCalls from './recipes/barrier.js';
export { openRemoteEngine } from './engines/remote/remote-engine.js';
export { connectHost } from './space/remote-host.js';
export { addressesOf as serverAddresses } from './engines/remote/addresses.js';
export type { ConnectOptions } from './engines/remote/connection.js';
export {
  createDataDirectory,
  type DirectoryContent,
  type RestoredEntry,
} from './engines/file/create-directory.js';
export { describeFact, type FileFact, inspectFiles } from './engines/file/inspect.js';
export type * from './core/watchers.js';
export { checkHostPort } from './recipes/listener-address.js';
export { type ListenAddress, ownAddress, parseListen } from './space/listen-address.js';
export { leaseNotFound } from './engines/kit/lease-table.js';
export * as watcherCalls from './recipes/watchers.js';
