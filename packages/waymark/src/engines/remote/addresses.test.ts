import { expect, test } from 'vitest';
import { addressesOf } from './addresses.js';

test.each([
  ['http://a', ['http://a']],
  ['http://a,b:1,c', ['http://a', 'http://b:1', 'http://c']],
  ['http://a:1,http://b:2', ['http://a:1', 'http://b:2']],
  ['unix:/run/a,b,http://c,d', ['unix:/run/a,b', 'http://c', 'http://d']],
  ['unix:/a,unix:/b', ['unix:/a', 'unix:/b']],
  ['http://[::1]:7420,[::2]:7420', ['http://[::1]:7420', 'http://[::2]:7420']],
  ['https://a,wss://b?ca=/x', ['https://a?ca=/x', 'wss://b?ca=/x']],
  ['https://a,b,ws://c,d', ['https://a', 'https://b', 'ws://c', 'ws://d']],
])('%s names its servers', (url, addresses) => {
  expect(addressesOf(url)).toEqual(addresses);
});

test.each([
  'http://',
  'http://a,',
  'http://a,,b',
  'http://a,http://',
  'https://a,http://b?ca=/x',
  `http://${'a,'.repeat(64)}a`,
])('%s is refused', (url) => {
  expect(() => addressesOf(url)).toThrow(expect.objectContaining({ code: 'invalid' }));
});
