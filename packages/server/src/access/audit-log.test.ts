import { FakeClock } from 'waymark/testing';
import { expect, test } from 'vitest';
import { AuditLog } from './audit-log.js';

const refused = { face: 'http', from: '10.0.0.9', who: null, action: 'read', code: 'denied' };

function log(): { clock: FakeClock; audit: AuditLog; lines: string[] } {
  const clock = new FakeClock();
  const lines: string[] = [];
  return { clock, lines, audit: new AuditLog(clock, (line) => void lines.push(line)) };
}

test('[A7.1] of more than 100 refusals in a second the number is told; what is done is always told', () => {
  const { clock, audit, lines } = log();
  for (let call = 0; call < 350; call++) audit.refusal(refused);
  expect(lines).toHaveLength(100);
  audit.act({ ...refused, action: 'backup' });
  expect(lines).toHaveLength(101);
  clock.advance(1_000);
  expect(lines).toHaveLength(102);
  expect(JSON.parse(lines[101] as string)).toMatchObject({ event: 'refused', omitted: 250 });
  audit.refusal(refused);
  expect(JSON.parse(lines[102] as string)).toMatchObject(refused);
  clock.advance(5_000);
  expect(lines).toHaveLength(103);
});

test('[A7.2] whatever a path holds, a line is one line, and not longer than it need be', () => {
  const { audit, lines } = log();
  const path = '/a\n{"audit":true}\u2028\u2029\u0085\u001b[2J';
  audit.refusal({ ...refused, path });
  audit.refusal({ ...refused, path: `/${'x'.repeat(5_000)}` });
  for (const line of lines) expect(line.slice(0, -1)).toMatch(/^[ -~…]+$/);
  expect(JSON.parse(lines[0] as string)).toMatchObject({ path });
  expect((lines[1] as string).length).toBeLessThan(1_000);
});
