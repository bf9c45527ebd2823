import { codes, ConnectionFault, frameBytesMax, settingIds, windowBytesMax } from './codes.js';

/** The settings of a client that this side acts upon. */
export interface PeerSettings {
  readonly initialWindow: number | undefined;
}

/**
 * Reads the values of a SETTINGS frame, one after the other; the last of one kind holds. Those that bear on pushes, on frames larger than every
 * peer takes and on a dynamic table are checked and change nothing: this side uses none. That of the header list is advice.
 *
 * @throws {ConnectionFault} as RFC 9113 section 6.5.2 names them for each
 */
export function readSettings(bytes: Buffer, start: number, end: number): PeerSettings {
  let initialWindow: number | undefined;
  for (let at = start; at < end; at += 6) {
    const value = bytes.readUInt32BE(at + 2);
    switch (bytes.readUInt16BE(at)) {
      case settingIds.enablePush:
        if (value > 1) throw new ConnectionFault(codes.protocolError, 'ENABLE_PUSH is 0 or 1');
        break;
      case settingIds.initialWindowSize:
        if (value > windowBytesMax)
          throw new ConnectionFault(codes.flowControlError, 'INITIAL_WINDOW_SIZE is too large');
        initialWindow = value;
        break;
      case settingIds.maxFrameSize:
        if (value < frameBytesMax || value > 0xff_ffff)
          throw new ConnectionFault(codes.protocolError, 'MAX_FRAME_SIZE is out of bounds');
        break;
      default:
    }
  }
  return { initialWindow };
}
