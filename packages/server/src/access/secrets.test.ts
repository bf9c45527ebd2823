import { expect, test } from 'vitest';
import { makeToken, tokenId } from './secrets.js';

test("a token's id is read back from it, and no command takes the id for an option", () => {
  const random = { next: () => 0, id: () => '__-Kx_-3a_bc-_ef-ghijk' };
  const { id, token } = makeToken(random);
  expect(id).toBe('000Kx003a0bc');
  expect(tokenId(token)).toBe(id);
});
