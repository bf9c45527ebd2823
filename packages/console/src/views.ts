import type { ComponentType } from 'preact';
import { Access } from './views/access.js';
import { Locks } from './views/locks.js';
import { Logs } from './views/logs.js';
import { Overview } from './views/overview.js';
import { Elections, Members, Names, Semaphores } from './views/recipes.js';
import { Stash } from './views/stash.js';
import { Tree } from './views/tree.js';
import { Watchers } from './views/watchers.js';

export interface ViewProps {
  readonly ns: string;
  readonly path: string;
}

interface View {
  readonly name: string;
  readonly title: string;
  /** It shows one namespace. */
  readonly spaced: boolean;
  readonly component: ComponentType<ViewProps>;
}

const overview: View = { name: 'overview', title: 'Overview', spaced: true, component: Overview };

export const views: readonly View[] = [
  overview,
  { name: 'tree', title: 'Tree', spaced: true, component: Tree },
  { name: 'locks', title: 'Locks', spaced: true, component: Locks },
  { name: 'elections', title: 'Elections', spaced: true, component: Elections },
  { name: 'semaphores', title: 'Semaphores', spaced: true, component: Semaphores },
  { name: 'names', title: 'Names', spaced: true, component: Names },
  { name: 'members', title: 'Members', spaced: true, component: Members },
  { name: 'logs', title: 'Logs', spaced: true, component: Logs },
  { name: 'watchers', title: 'Watchers', spaced: false, component: Watchers },
  { name: 'stash', title: 'Stash', spaced: false, component: Stash },
  { name: 'access', title: 'Access', spaced: false, component: Access },
];

export function viewOf(name: string): ComponentType<ViewProps> {
  return (views.find((view) => view.name === name) ?? overview).component;
}
