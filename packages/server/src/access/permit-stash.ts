import type { AskedCall } from './permit-call.js';

/** Indexes of the stash stand beside the namespaces, each with rules of its own. */
export async function permitStash<Args, Result>({
  caller,
  call,
  args,
  run,
}: AskedCall<Args, Result>): Promise<Result> {
  const { index } = args as { readonly index?: string };
  const action = call.name === 'stash.write' ? 'write' : 'read';
  const check = (): void => {
    if (call.name === 'stash.indexes') return void caller.authenticate({ action: call.name });
    if (call.name === 'stash.status') return caller.demandObserving(call.name);
    if (index === undefined) return caller.demandRoot(call.name);
    const asked = { action, path: `stash ${index}` };
    caller.demand(asked, ({ rules }) => rules.allowsStash(action, index));
  };
  const answer = await run(args, check);
  if (call.name !== 'stash.indexes' || caller.unlimited) return answer;
  const principal = caller.principal();
  const names = (answer as readonly string[]).filter(
    (name) => principal?.rules.allowsStash('read', name) === true,
  );
  return names as Result;
}
