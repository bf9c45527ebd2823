import type { ComponentType } from 'preact';
import { Tree } from './views/tree.js';

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

export const views: readonly View[] = [
  { name: 'tree', title: 'Tree', spaced: true, component: Tree },
];

export function viewOf(name: string): ComponentType<ViewProps> {
  return (views.find((view) => view.name === name) ?? (views[0] as View)).component;
}
