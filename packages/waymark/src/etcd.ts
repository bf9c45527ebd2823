/** etcd's API in messages: for those who speak it, as a client or as a server. */
export * from './engines/etcd/gen/etcd_pb.js';
export * from './engines/etcd/gen/lock_pb.js';
export * from './engines/etcd/gen/election_pb.js';
export * from './engines/etcd/enums.js';
export { bytesSize, ProtobufReader, ProtobufWriter, uintSize } from './engines/etcd/protobuf.js';
/** What both sides of HTTP/2 need. */
export { huffmanBytes, huffmanDecode, huffmanEncode } from './core/huffman.js';
/** The codec that the messages are made for. */
export {
  create,
  type DescField,
  type DescMessage,
  type DescMethod,
  type DescService,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  ScalarType,
  toBinary,
  toJson,
} from '@bufbuild/protobuf';
