import { WaymarkError } from '../core/errors.js';

/** What the library takes of Node that a page has otherwise or not at all, by the names it has there. */

/** `node:events`: browsers do not warn of listeners. */
export function setMaxListeners(): void {}

/** `process.nextTick`: everything of one turn leaves in one message all the same. */
export const nextTick = (task: () => void): void => queueMicrotask(task);

/** space/listener.ts: a page cannot be reached. @throws {WaymarkError} `invalid` */
export function openBox(): never {
  throw new WaymarkError('invalid', 'a page cannot listen: join without `listen`');
}
