/** A group as a watch told it. */
export interface SeenView {
  readonly epoch: number;
  readonly ids: readonly string[];
}

/** What a broadcast came to. */
export interface Broadcast {
  readonly body: number;
  /** Revisions between which it began: read before the call, and after its first reply. */
  readonly from: number;
  readonly to: number;
  readonly deadlineMs: number;
  readonly ms: number;
  readonly replies: readonly { readonly member: string | null; readonly value?: unknown }[];
}

const lateMsMax = 1_000;

/** What breaks X5 or X8 in a broadcast, given every view of its group. */
export function broadcastFaults(broadcast: Broadcast, views: readonly SeenView[]): string[] {
  const { body, from, to, deadlineMs, ms, replies } = broadcast;
  const faults: string[] = [];
  const told = replies.map(({ member }) => member ?? 'nobody').sort();
  if (new Set(told).size < told.length) faults.push(`${body}: two replies of one member`);
  const first = views.findLastIndex(({ epoch }) => epoch <= from);
  const last = views.findLastIndex(({ epoch }) => epoch <= to);
  const possible = views.slice(first, last + 1);
  if (!possible.some(({ ids }) => ids.toSorted().join() === told.join()))
    faults.push(`${body}: no view from ${from} to ${to} has the members that replied`);
  if (ms > deadlineMs + lateMsMax) faults.push(`${body}: ended after ${ms} ms of ${deadlineMs}`);
  for (const { member, value } of replies) {
    if (value !== undefined && value !== `${member} ${body}`)
      faults.push(`${body}: ${member} replied ${JSON.stringify(value)}`);
  }
  return faults;
}
