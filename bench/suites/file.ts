import { startRedis, startWaymark } from '../servers/index.js';
import type { Stage } from './stage.js';

/** Puts that are on disk when they are answered. */
export async function fileSuite(stage: Stage): Promise<void> {
  const flushed = await stage.server('waymark file', () => startWaymark({ engine: 'file' }));
  for (const inFlight of [128, 16, 1]) {
    const params = { op: 'put', inFlight, seconds: 2 };
    await stage.line(
      `put flushed, ${inFlight} in flight`,
      'operations/s',
      async () => {
        const memory = await stage.server('waymark', () => startWaymark());
        return [
          stage.side('waymark file', 'waymark', flushed.address, 'load', params),
          ...(inFlight === 128
            ? [stage.side('own memory engine', 'waymark', memory.address, 'load', params)]
            : []),
        ];
      },
      async () => {
        const redis = await stage.server('redis always', () => startRedis({ appendAlways: true }));
        return [stage.side('redis AOF always', 'ioredis', redis.address, 'load', params)];
      },
    );
  }
}
