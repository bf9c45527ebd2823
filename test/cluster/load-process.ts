import { Load, lost } from './load.js';

/** The load of one client in a process of its own, for a network namespace: it is asked, and answers. */

export type LoadAsked =
  | { readonly more: number }
  | { readonly gap: true }
  | { readonly stop: true }
  | { readonly lost: string };

const [name = '', ...urls] = process.argv.slice(2);
const load = new Load(name, () => urls);

process.on('message', (asked: LoadAsked) => {
  void answer(asked).then((told) => process.send?.({ told }));
});

async function answer(asked: LoadAsked): Promise<unknown> {
  if ('more' in asked) return await load.more(asked.more);
  if ('gap' in asked) return load.gapMs();
  if ('lost' in asked) return await lost(asked.lost, load.acked);
  await load.stop();
  return load.acked.size;
}
