import type { MessageInitShape, Permission, PermissionSchema } from 'waymark/etcd';
import { arrayToBytes, bytesToArray, type ByteString, type KeyRange } from 'waymark/engine';
import type { Grant, KeyAction } from '../access/principal.js';
import { etcdError } from './errors.js';

/** etcd's permissions as grants, and its ranges as they are meant: keys without the facet that they have in the engine. */

/** By their numbers (api/authpb/auth.proto). */
const actionsOf: readonly (readonly KeyAction[])[] = [['read'], ['write'], ['read', 'write']];

/** @param rangeEnd  empty: the key alone; a zero byte: no end */
export function meantRange(key: Uint8Array, rangeEnd: Uint8Array): KeyRange {
  const from = arrayToBytes(key);
  if (rangeEnd.length === 0) return { key: from };
  return { key: from, end: endOf(rangeEnd) };
}

function endOf(rangeEnd: Uint8Array): ByteString {
  return rangeEnd.length === 1 && rangeEnd[0] === 0 ? '' : arrayToBytes(rangeEnd);
}

/** @throws {GrpcError} for what no key can be in, and for actions that etcd does not know */
export function grantOf({ permType, key, rangeEnd }: Permission): Grant {
  const actions = actionsOf[permType];
  const range = meantRange(key, rangeEnd);
  const { end } = range;
  const empty = end !== undefined && end !== '' && end <= range.key;
  if (actions === undefined || key.length === 0 || empty) throw etcdError('invalidAuthMgmt');
  return { range, actions };
}

export function permissionOf({ range, actions }: Grant): MessageInitShape<typeof PermissionSchema> {
  const permType = actionsOf.findIndex((known) => String(known) === String(actions));
  const { key, end } = range;
  return { permType, key: bytesToArray(key), rangeEnd: end === undefined ? nothing : ending(end) };
}

const nothing = new Uint8Array();

function ending(end: ByteString): Uint8Array {
  return end === '' ? new Uint8Array([0]) : bytesToArray(end);
}
