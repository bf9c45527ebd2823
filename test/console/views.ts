/** Every view of the console, by its address. */
export const views = [
  'overview/default',
  'tree/default',
  'locks/default',
  'elections/default',
  'semaphores/default',
  'names/default',
  'members/default',
  'logs/default',
  'watchers',
  'stash',
  'access',
] as const;
