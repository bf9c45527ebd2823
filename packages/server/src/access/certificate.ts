import type { Duplex } from 'node:stream';
import type { PeerCertificate, TLSSocket } from 'node:tls';

/** Kinds of alternative names that can be a user's. */
const kinds = ['DNS:', 'URI:', 'email:'];

/**
 * Whose certificate the client has shown: its common name, then its alternative names.
 * @returns null without one that an authority of ours stands for
 */
export function certificateNames(socket: Duplex): readonly string[] | null {
  // What node:http2 shows of a socket is no instance of its class.
  const { authorized, getPeerCertificate } = socket as Partial<TLSSocket>;
  if (authorized !== true || getPeerCertificate === undefined) return null;
  const shown = getPeerCertificate.call(socket as TLSSocket) as Partial<PeerCertificate>;
  const { subject, subjectaltname = '' } = shown;
  if (subject === undefined) return null;
  const names = subject.CN as string | string[] | undefined;
  const common = Array.isArray(names) ? names.at(-1) : names;
  return [...(common === undefined ? [] : [common]), ...alternativeNames(subjectaltname)];
}

/** As Node writes them: `DNS:a.example, URI:spiffe://b`; a name with a comma or a quote comes as JSON, and is left out. */
function alternativeNames(text: string): readonly string[] {
  if (text.includes('"')) return [];
  return text.split(', ').flatMap((one) => {
    const kind = kinds.find((prefix) => one.startsWith(prefix));
    return kind === undefined ? [] : [one.slice(kind.length)];
  });
}
