// Objects of an application's own as keys and values: temperatures of many sensors, an entry an hour, in a few bytes each.
//
//   node examples/dist/stash/data-mapping.js http://127.0.0.1:7420 record 17 2026-03-01T10 20.5 21 20.75
//   node examples/dist/stash/data-mapping.js http://127.0.0.1:7420 day 17 2026-03-01
//   node examples/dist/stash/data-mapping.js http://127.0.0.1:7420 all 17
import { type Codec, open } from 'waymark';

const msOfHour = 3_600_000;

/** An hour of a sensor. Its key is eight bytes, the sensor first: so all hours of one sensor begin alike, and sort by time. */
class SensorHour {
  readonly sensor: number;
  readonly hour: Date;

  constructor(sensor: number, hour: Date) {
    this.sensor = sensor;
    this.hour = hour;
  }

  static fromKey(key: Uint8Array): SensorHour {
    const bytes = new DataView(key.buffer, key.byteOffset, key.byteLength);
    return new SensorHour(bytes.getUint32(0), new Date(bytes.getUint32(4) * msOfHour));
  }

  /** Of all hours of a sensor. */
  static prefix(sensor: number): Uint8Array {
    return new SensorHour(sensor, new Date(0)).toKey().subarray(0, 4);
  }

  toKey(): Uint8Array {
    const bytes = new DataView(new ArrayBuffer(8));
    bytes.setUint32(0, this.sensor);
    bytes.setUint32(4, Math.floor(this.hour.getTime() / msOfHour));
    return new Uint8Array(bytes.buffer);
  }
}

/** Degrees as they were measured. Stored as hundredths in two bytes each. */
class Temperatures {
  static readonly codec: Codec<Temperatures> = {
    encode: ({ degrees }) => {
      const bytes = new DataView(new ArrayBuffer(degrees.length * 2));
      for (const [i, one] of degrees.entries()) bytes.setInt16(i * 2, Math.round(one * 100));
      return new Uint8Array(bytes.buffer);
    },
    decode: (value) => {
      const bytes = new DataView(value.buffer, value.byteOffset, value.byteLength);
      const count = value.byteLength / 2;
      return new Temperatures(Array.from({ length: count }, (_, i) => bytes.getInt16(i * 2) / 100));
    },
  };

  readonly degrees: readonly number[];

  constructor(degrees: readonly number[]) {
    this.degrees = degrees;
  }

  get mean(): number {
    return this.degrees.reduce((sum, one) => sum + one, 0) / this.degrees.length;
  }
}

const [, , url = 'http://127.0.0.1:7420', verb, sensorText = '0', time = '', ...degrees] =
  process.argv;
const sensor = Number(sensorText);
await using space = await open(url);
const temperatures = space.stash.index('temperatures', { codec: Temperatures.codec });

if (verb === 'record') {
  const hour = new SensorHour(sensor, new Date(`${time}:00Z`));
  await temperatures.put(hour, new Temperatures(degrees.map(Number)));
} else if (verb === 'day') {
  const midnight = new Date(`${time}T00:00Z`).getTime();
  const hours = Array.from(
    { length: 24 },
    (_, i) => new SensorHour(sensor, new Date(midnight + i * msOfHour)),
  );
  // One batch, answered in its order, what is missing told.
  const found = await temperatures.getMany(hours);
  for (const [i, one] of found.entries()) {
    if (one !== undefined) console.log(`${told(hours[i])} ${one.mean.toFixed(2)}`);
  }
} else if (verb === 'all') {
  const lines: string[] = [];
  // What `toKey()` gave comes back as bytes.
  for await (const [key, one] of temperatures.scan({ prefix: SensorHour.prefix(sensor) })) {
    lines.push(`${told(SensorHour.fromKey(key as Uint8Array))} ${one.degrees.join(' ')}`);
  }
  for (const line of lines.sort()) console.log(line);
} else {
  console.error(
    'usage: data-mapping URL record SENSOR HOUR DEGREES… | day SENSOR DATE | all SENSOR',
  );
  process.exitCode = 2;
}

function told(at: SensorHour | undefined): string {
  return `${at?.sensor} ${at?.hour.toISOString().slice(0, 13)}`;
}
