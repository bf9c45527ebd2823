import type * as GrpcModule from '@grpc/grpc-js';
import { WaymarkError } from '../../core/errors.js';

export type Grpc = typeof GrpcModule;

/** Loaded when an etcd engine is opened: who uses none need not install it. */
export async function loadGrpc(scheme = 'etcd://'): Promise<Grpc> {
  try {
    return await import('@grpc/grpc-js');
  } catch (error) {
    if ((error as { code?: unknown }).code !== 'ERR_MODULE_NOT_FOUND') throw error;
    const text = `${scheme} needs the package @grpc/grpc-js: npm install @grpc/grpc-js`;
    throw new WaymarkError('invalid', text, {}, error);
  }
}
