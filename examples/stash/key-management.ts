// Secrets of many tenants, sealed by a data key of each tenant; data keys are wrapped by a master key, which never leaves this process and
// lies in no store. So a master key is changed by wrapping the data keys anew, and what they sealed is not touched.
//
//   export MASTER_KEYS="2026:$(openssl rand -base64 32)"
//   node examples/dist/stash/key-management.js http://127.0.0.1:7420 seal acme smtp-password < password.txt
//   node examples/dist/stash/key-management.js http://127.0.0.1:7420 open acme smtp-password
//   node examples/dist/stash/key-management.js http://127.0.0.1:7420 renew acme      a new data key; what an older one sealed stays readable
//
//   export MASTER_KEYS="2027:$(openssl rand -base64 32),$MASTER_KEYS"                the first one wraps, all of them unwrap
//   node examples/dist/stash/key-management.js http://127.0.0.1:7420 rewrap          then the others may be destroyed
//
// Wrapped keys and sealed secrets, of which there are many, lie in the stash. Which data key a tenant's next secret takes is one decision that two
// processes must not take differently, so it stands in a namespace, which has compare-and-set.
import { createCipheriv, createDecipheriv, randomBytes, randomUUID } from 'node:crypto';
import { buffer } from 'node:stream/consumers';
import { isWaymarkError, open } from 'waymark';

/** What AES-256-GCM makes of a text. */
interface Sealed {
  /** Of the key that opens it. */
  readonly key: string;
  readonly nonce: Uint8Array;
  readonly tag: Uint8Array;
  readonly bytes: Uint8Array;
}

const [, , url = 'http://127.0.0.1:7420', verb, tenant = '', name = ''] = process.argv;
const masters = new Map(
  (process.env['MASTER_KEYS'] ?? '').split(',').map((one): [string, Buffer] => {
    const [id = '', base64 = ''] = one.trim().split(':');
    const key = Buffer.from(base64, 'base64');
    if (key.length !== 32)
      throw new Error('MASTER_KEYS takes ID:BASE64 of 32 bytes, and more after commas');
    return [id, key];
  }),
);
const [currentMaster = ''] = masters.keys();

await using space = await open(url);
const currentKeys = space.namespace<string>('tenant-keys');
const wrappedKeys = space.stash.index<Sealed>('wrapped-keys');
const secrets = space.stash.index<Sealed>('secrets');

try {
  await run();
} catch (error) {
  console.error(error instanceof Error ? error.message : String(error));
  process.exitCode = 1;
}

async function run(): Promise<void> {
  switch (verb) {
    case 'seal': {
      const id = await currentKey();
      const key = await unwrapped(id);
      const text = await buffer(process.stdin);
      await secrets.put([tenant, name], seal(key, id, text, secretOf(tenant, name)));
      break;
    }
    case 'open': {
      const sealed = await secrets.get([tenant, name]);
      if (sealed === undefined) throw new Error(`${tenant} has no ${name}`);
      const key = await unwrapped(sealed.key);
      process.stdout.write(unseal(key, sealed, secretOf(tenant, name)));
      break;
    }
    case 'renew': {
      const before = await currentKeys.get(`/${tenant}`);
      await chooseNewKey(before?.revision ?? 0);
      break;
    }
    case 'rewrap':
      console.log(`${await rewrap()} keys wrapped by ${currentMaster}`);
      break;
    default:
      throw new Error(
        'usage: key-management URL seal TENANT NAME | open TENANT NAME | renew TENANT | rewrap',
      );
  }
}

/** The data key by which the tenant's next secret is sealed. @returns its id */
async function currentKey(): Promise<string> {
  const current = await currentKeys.get(`/${tenant}`);
  return current?.value ?? (await chooseNewKey(0));
}

/** The wrapped key is on its disks before anybody is told its id: what it sealed can be opened. @param revision  of the choice it takes the place of */
async function chooseNewKey(revision: number): Promise<string> {
  const id = randomUUID();
  await wrappedKeys.put([tenant, id], wrap(randomBytes(32), tenant, id));
  try {
    await currentKeys.put(`/${tenant}`, id, { ifRevision: revision });
    return id;
  } catch (error) {
    if (!isWaymarkError(error, 'conflict')) throw error;
    // Another process was first: its key holds, and nobody knows of this one.
    await wrappedKeys.delete([tenant, id]);
    return (await currentKeys.get(`/${tenant}`))?.value ?? (await chooseNewKey(0));
  }
}

async function unwrapped(id: string): Promise<Buffer> {
  const wrapped = await wrappedKeys.get([tenant, id]);
  if (wrapped === undefined) throw new Error(`${tenant} has no key ${id}`);
  return unwrap(wrapped, tenant, id);
}

/** Two that do this at once do it twice, and both are right. */
async function rewrap(): Promise<number> {
  let count = 0;
  for await (const [key, wrapped] of wrappedKeys.scan()) {
    if (wrapped.key === currentMaster) continue;
    const [of, id] = key as [string, string];
    await wrappedKeys.put([of, id], wrap(unwrap(wrapped, of, id), of, id));
    count++;
  }
  return count;
}

function wrap(key: Buffer, of: string, id: string): Sealed {
  return seal(masterKey(currentMaster), currentMaster, key, `key ${JSON.stringify([of, id])}`);
}

function unwrap(wrapped: Sealed, of: string, id: string): Buffer {
  return unseal(masterKey(wrapped.key), wrapped, `key ${JSON.stringify([of, id])}`);
}

function masterKey(id: string): Buffer {
  const key = masters.get(id);
  if (key === undefined)
    throw new Error(`it takes the master key ${id}: it is not among MASTER_KEYS`);
  return key;
}

function secretOf(of: string, called: string): string {
  return `secret ${JSON.stringify([of, called])}`;
}

/** @param place  where it belongs: put anywhere else it does not open. A key may seal 2³² texts, as the nonce is drawn: `renew` long before that */
function seal(key: Buffer, id: string, bytes: Buffer, place: string): Sealed {
  const nonce = randomBytes(12);
  const cipher = createCipheriv('aes-256-gcm', key, nonce).setAAD(Buffer.from(place));
  const sealed = Buffer.concat([cipher.update(bytes), cipher.final()]);
  return { key: id, nonce, tag: cipher.getAuthTag(), bytes: sealed };
}

function unseal(key: Buffer, { nonce, tag, bytes }: Sealed, place: string): Buffer {
  const decipher = createDecipheriv('aes-256-gcm', key, nonce, { authTagLength: 16 });
  decipher.setAAD(Buffer.from(place)).setAuthTag(tag);
  try {
    return Buffer.concat([decipher.update(bytes), decipher.final()]);
  } catch (cause) {
    throw new Error(`${place} was changed, or belongs elsewhere`, { cause });
  }
}
