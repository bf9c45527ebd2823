/** What the server answers, as far as it is shown: docs/reference/rest.md, and /openapi.json for all of it. */

export interface Facts {
  readonly path: string;
  readonly revision: number;
  readonly createRevision: number;
  readonly version: number;
  readonly lease: number | string;
}

export interface Entry extends Facts {
  /** The value, when it is UTF-8. */
  readonly value?: string;
  readonly base64: string;
}

export interface Page<T> {
  readonly entries: readonly T[];
  readonly more: boolean;
  readonly revision: number;
}

export interface Change {
  readonly kind: 'put' | 'delete' | 'expire' | 'lock' | 'unlock' | 'resync';
  readonly path: string;
  readonly revision: number;
  readonly entry?: Entry;
}

export interface Party {
  readonly owner: string;
  readonly path: string;
  readonly tree: boolean;
  readonly mode: 'exclusive' | 'shared';
  /** The revision at which it came. */
  readonly since: number;
  readonly token?: number;
  readonly lease: number | string;
}

export interface CycleStep {
  readonly owner: string;
  readonly recipe: string;
  readonly path: string;
}

export interface Explanation {
  readonly holders: readonly Party[];
  readonly waiters: readonly Party[];
  readonly cycle: readonly CycleStep[];
  readonly summary: string;
}

export interface ElectionState {
  readonly leader: {
    readonly owner: string;
    readonly term: number;
    readonly value?: string;
    readonly base64?: string;
  } | null;
  readonly candidates: readonly { readonly owner: string; readonly since: number }[];
  readonly summary: string;
}

export interface PermitParty {
  readonly owner: string;
  readonly weight: number;
  readonly since: number;
  readonly token?: number;
}

export interface SemaphoreState {
  readonly limit: number;
  readonly used: number;
  readonly holding: number;
  readonly waiting: number;
  readonly holders: readonly PermitParty[];
  readonly waiters: readonly PermitParty[];
  readonly summary: string;
}

export interface NamesState {
  readonly size: number;
  readonly members: readonly {
    readonly name: string;
    readonly position: number;
    readonly owner: string;
    readonly token: number;
  }[];
  readonly kept: readonly { readonly name: string; readonly owner: string }[];
  readonly waiting: readonly string[];
}

export interface GroupState {
  readonly members: readonly {
    readonly id: string;
    readonly incarnation: number;
    readonly owner: string;
    readonly address: string | null;
    readonly meta: unknown;
  }[];
  readonly leader: { readonly id: string; readonly term: number } | null;
}

export interface LogEntry {
  readonly position: number;
  readonly author: string;
  readonly at: number;
  readonly value?: string;
  readonly base64: string;
}

export interface Watcher {
  readonly id: string;
  readonly namespace: string;
  readonly pattern: string;
  readonly endpoint: string;
  readonly state: 'active' | 'paused' | 'disabled';
  readonly delivery: {
    readonly cursor: number;
    readonly lagRevisions: number;
    readonly lagSeconds: number;
    readonly attempts: number;
    readonly lastError: string | null;
    readonly nextTryAt: number | null;
    readonly delivered: number | null;
    readonly perSecond: number | null;
    readonly deadLetters: number | null;
    readonly processor: string | null;
  };
}

export interface StashStatus {
  readonly epoch: number;
  readonly nodes: readonly {
    readonly id: string;
    readonly address: string;
    readonly zone: string;
    readonly weight: number;
    readonly state: string;
    readonly share: number;
    readonly figures: {
      readonly records: number;
      readonly bytes: number;
      readonly writable: boolean;
      readonly damaged: number;
    } | null;
  }[];
  readonly replicas: number;
  readonly writeQuorum: number;
  readonly readQuorum: number;
  readonly move: {
    readonly phase: string;
    readonly paused: boolean;
    readonly partitions: number;
    readonly of: number;
    readonly entries: number;
    readonly leftMs: number | null;
    readonly waitingFor: readonly string[];
    readonly blockedBy: readonly string[];
  } | null;
}

/** A histogram: how many took as long as each bound at most and longer than the bound before, and the rest. */
export interface Spread {
  readonly count: number;
  readonly boundsMs: readonly number[];
  readonly counts: readonly number[];
}

export interface ServerStatus {
  readonly version: string;
  readonly uptimeMs: number;
  readonly safety: string;
  readonly ready: {
    readonly ok: boolean;
    readonly checks: readonly {
      readonly name: string;
      readonly ok: boolean;
      readonly reason?: string;
    }[];
  };
  readonly engine: {
    readonly engine: string;
    readonly revision: number;
    readonly keys: number;
    readonly leases: number;
    readonly bytes: number;
  } | null;
  readonly connections: { readonly all: number };
  readonly cluster: {
    readonly name: string;
    readonly state: string;
    readonly members: readonly {
      readonly name: string;
      readonly leads: boolean;
      readonly answers: boolean;
    }[];
  } | null;
  readonly watchers: { readonly lagRevisions: number } | null;
  /** Sums since the server began. */
  readonly load: {
    readonly commits: Spread;
    readonly reads: Spread;
    readonly watches: number;
    readonly lockWaiters: number;
    readonly namespaces: readonly {
      readonly name: string;
      readonly reads: number;
      readonly writes: number;
    }[];
  };
}

export interface AccessStatus {
  readonly on: boolean;
}

export interface AccessToken {
  readonly id: string;
  readonly user: string;
  readonly note: string;
  readonly createdAt: number;
  readonly expiresAt: number | null;
  readonly roles: readonly string[];
}

export interface AccessRole {
  readonly role: string;
  readonly rules: readonly {
    readonly actions: readonly string[];
    readonly namespace?: string;
    readonly path?: string;
    readonly stash?: string;
  }[];
}
