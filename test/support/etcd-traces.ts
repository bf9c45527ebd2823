import { Etcd3 } from 'etcd3';

/** What tests leave in an etcd that others may use, too: seen by a client that is not ours. */
export class EtcdTraces {
  readonly #client: Etcd3;
  readonly #before: ReadonlySet<string>;

  private constructor(client: Etcd3, before: ReadonlySet<string>) {
    this.#client = client;
    this.#before = before;
  }

  /** @param address  `host:port`. What is there now is not ours */
  static async before(address: string): Promise<EtcdTraces> {
    const client = new Etcd3({ hosts: `http://${address}` });
    return new EtcdTraces(client, new Set(await leaseIds(client)));
  }

  async remove(prefix: string): Promise<void> {
    await this.#client.delete().prefix(prefix);
  }

  /** Keys below a prefix, and leases that are new and hold no keys of others alone. */
  async left(prefix: string): Promise<{ readonly keys: number; readonly leases: number }> {
    const keys = await this.#client.getAll().prefix(prefix).count();
    let leases = 0;
    for (const id of await leaseIds(this.#client)) {
      if (this.#before.has(id)) continue;
      const { keys: held } = await this.#client.leaseClient.leaseTimeToLive({ ID: id, keys: true });
      const ours = held.filter((key) => key.toString('latin1').startsWith(prefix)).length;
      if (held.length === 0 || ours > 0) leases++;
    }
    return { keys, leases };
  }

  async close(): Promise<void> {
    this.#client.close();
  }
}

async function leaseIds(client: Etcd3): Promise<string[]> {
  const { leases } = await client.leaseClient.leaseLeases();
  return leases.map(({ ID }) => ID);
}
