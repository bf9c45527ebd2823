// The stash as a simple store of keys and values, larger than memory, from a shell:
//
//   node examples/dist/stash/key-value.js http://127.0.0.1:7420 put user/42 '{"name":"Ada"}'
//   node examples/dist/stash/key-value.js http://127.0.0.1:7420 get user/42 user/43
//   node examples/dist/stash/key-value.js http://127.0.0.1:7420 list user/
//   node examples/dist/stash/key-value.js http://127.0.0.1:7420 delete user/42
//   node examples/dist/stash/key-value.js http://127.0.0.1:7420 load < lines        (of `key value`, as many as you like)
import { createInterface } from 'node:readline';
import { codecs, open } from 'waymark';

const [, , url = 'http://127.0.0.1:7420', verb, ...args] = process.argv;
await using space = await open(url);
// As JSON, so that `waymark stash get` and other languages read it too.
const things = space.stash.index('things', { codec: codecs.json });

switch (verb) {
  case 'put': {
    const [key = '', value = 'null'] = args;
    const { replicas, flushed } = await things.put(key, JSON.parse(value));
    console.log(`on ${flushed} of ${replicas} disks`);
    break;
  }
  case 'get': {
    const found = await things.getMany(args);
    for (const [i, value] of found.entries()) console.log(`${args[i]} ${JSON.stringify(value)}`);
    process.exitCode = found.includes(undefined) ? 1 : 0;
    break;
  }
  case 'list':
    for await (const [key, value] of things.scan({ prefix: args[0] })) {
      console.log(`${String(key)} ${JSON.stringify(value)}`);
    }
    break;
  case 'delete':
    await things.deleteMany(args);
    break;
  case 'load':
    console.log(`${await things.putMany(lines())} put`);
    break;
  default:
    console.error(
      'usage: key-value URL put KEY JSON | get KEY… | list [PREFIX] | delete KEY… | load',
    );
    process.exitCode = 2;
}

/** Lines are read as they are sent: any number of them takes little memory. */
async function* lines(): AsyncGenerator<readonly [string, unknown]> {
  for await (const line of createInterface({ input: process.stdin })) {
    const at = line.indexOf(' ');
    yield [line.slice(0, at), JSON.parse(line.slice(at + 1))];
  }
}
