import { readFile, stat } from 'node:fs/promises';
import { WaymarkError } from 'waymark/engine';
import { readXmppAccount, type XmppAccount } from './account.js';

/**
 * @returns null without a file
 * @throws {WaymarkError} `invalid` for a file that cannot be read, that others may read, or that holds no account
 */
export async function xmppAccountIn(file: string | undefined): Promise<XmppAccount | null> {
  if (file === undefined) return null;
  const [{ mode }, text] = await Promise.all([stat(file), readFile(file, 'utf8')]).catch(
    (cause: unknown) => {
      const why = `the file of the XMPP account: ${(cause as Error).message}`;
      throw new WaymarkError('invalid', why, { file }, cause);
    },
  );
  if ((mode & 0o027) === 0) return readXmppAccount(text);
  const why = `the XMPP account is for its owner alone, and a group that may read at most: chmod 600 ${file}`;
  throw new WaymarkError('invalid', why, { file });
}
