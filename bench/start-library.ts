/** Prints the milliseconds from here, where Node is up, to the first answers of a space. */
const begin = performance.now();
const { open } = await import('waymark');
const space = await open();
const namespace = space.namespace<string>('start');
await namespace.put('/first', 'value');
await namespace.get('/first');
process.stdout.write(String(performance.now() - begin));
await space.close();
export {};
