/**
 * Who is signed in: a token, kept for this tab alone and sent as a header, never as a cookie. So no other page can make the browser send it.
 */

const slot = 'waymark-token';
const listeners = new Set<() => void>();

export interface SessionState {
  readonly token: string | null;
  /** Why the server wants a token, once it has said so. */
  readonly refused: string | null;
}

let state: SessionState = { token: sessionStorage.getItem(slot), refused: null };

export const session = {
  get state(): SessionState {
    return state;
  },

  signIn(token: string): void {
    sessionStorage.setItem(slot, token);
    change({ token, refused: null });
  },

  signOut(): void {
    sessionStorage.removeItem(slot);
    change({ token: null, refused: '' });
  },

  /** The server refused what was sent. A token that it does not take is forgotten. */
  refused(why: string): void {
    sessionStorage.removeItem(slot);
    change({ token: null, refused: why });
  },

  subscribe(listener: () => void): () => void {
    listeners.add(listener);
    return () => void listeners.delete(listener);
  },
};

function change(next: SessionState): void {
  state = next;
  for (const listener of listeners) listener();
}
