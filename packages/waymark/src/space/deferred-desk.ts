import type {
  StashAcknowledged,
  StashBegun,
  StashCall,
  StashChange,
  StashDesk,
  StashPage,
  StashRead,
  StashRepaired,
  StashSafeAsk,
  StashSafeToStop,
  StashScan,
  StashStatus,
  StashWrite,
} from '../core/stash.js';

/** A desk that is made, or waited for, by who first asks it. */
export abstract class DeferredDesk implements StashDesk {
  /** The same one each time, once there is one. */
  protected abstract desk(): Promise<StashDesk>;

  async read(ask: StashRead): Promise<Uint8Array> {
    return await (await this.desk()).read(ask);
  }

  async write(ask: StashWrite): Promise<StashAcknowledged> {
    return await (await this.desk()).write(ask);
  }

  async scan(ask: StashScan): Promise<StashPage> {
    return await (await this.desk()).scan(ask);
  }

  async indexes(call: StashCall): Promise<readonly string[]> {
    return await (await this.desk()).indexes(call);
  }

  async status(call: StashCall): Promise<StashStatus> {
    return await (await this.desk()).status(call);
  }

  async change(ask: StashChange): Promise<StashBegun> {
    return await (await this.desk()).change(ask);
  }

  async safeToStop(ask: StashSafeAsk): Promise<StashSafeToStop> {
    return await (await this.desk()).safeToStop(ask);
  }

  async repair(call: StashCall): Promise<StashRepaired> {
    return await (await this.desk()).repair(call);
  }
}
