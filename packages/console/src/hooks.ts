import { useCallback, useEffect, useRef, useState } from 'preact/hooks';
import { Problem } from './api.js';
import { session, type SessionState } from './session.js';
import { follow, type StreamEvent } from './stream.js';

export interface Loaded<T> {
  readonly data: T | null;
  readonly problem: Problem | null;
  readonly refresh: () => void;
}

/**
 * Asks now, then again and again while the page is seen, one call at a time. What was there stays until something newer is.
 *
 * @param key  what is asked for: another one begins anew
 * @param everyMs  0: once
 */
export function usePoll<T>(
  key: string,
  ask: (signal: AbortSignal) => Promise<T>,
  everyMs = 2_000,
): Loaded<T> {
  const [told, setTold] = useState<{ key: string; data: T | null; problem: Problem | null }>({
    key,
    data: null,
    problem: null,
  });
  const again = useRef<() => void>(() => undefined);
  const latest = useRef(ask);
  latest.current = ask;
  useEffect(() => {
    const left = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    let asking = false;
    let wanted = false;
    const run = async (): Promise<void> => {
      clearTimeout(timer);
      if (asking) return void (wanted = true);
      asking = true;
      try {
        const data = await latest.current(left.signal);
        if (!left.signal.aborted) setTold({ key, data, problem: null });
      } catch (error) {
        const problem = asProblem(error);
        if (!left.signal.aborted)
          setTold((before) => ({ key, data: before.key === key ? before.data : null, problem }));
      }
      asking = false;
      if (left.signal.aborted) return;
      if (wanted) {
        wanted = false;
        void run();
      } else if (everyMs > 0 && !document.hidden) timer = setTimeout(() => void run(), everyMs);
    };
    const seen = (): void => void (document.hidden || void run());
    again.current = () => void run();
    document.addEventListener('visibilitychange', seen);
    void run();
    return () => {
      left.abort();
      clearTimeout(timer);
      document.removeEventListener('visibilitychange', seen);
    };
  }, [key, everyMs]);
  const refresh = useCallback(() => again.current(), []);
  const current = told.key === key;
  return { data: current ? told.data : null, problem: current ? told.problem : null, refresh };
}

export interface StreamState {
  readonly open: boolean;
  readonly problem: Problem | null;
}

/** Follows a stream while the component stands. @param path  null: none yet */
export function useStream(path: string | null, onEvent: (event: StreamEvent) => void): StreamState {
  const [state, setState] = useState<StreamState>({ open: false, problem: null });
  const latest = useRef(onEvent);
  latest.current = onEvent;
  useEffect(() => {
    if (path === null) return;
    const left = new AbortController();
    void follow(path, {
      signal: left.signal,
      onEvent: (event) => latest.current(event),
      onState: (open, problem) => setState({ open, problem: problem ?? null }),
    });
    return () => left.abort();
  }, [path]);
  return state;
}

export function useSession(): SessionState {
  const [state, setState] = useState(session.state);
  useEffect(() => session.subscribe(() => setState(session.state)), []);
  return state;
}

export interface Doing {
  readonly busy: boolean;
  readonly problem: Problem | null;
  /** Runs it, and keeps what went wrong. @returns whether it went well */
  readonly run: (what: () => Promise<unknown>) => Promise<boolean>;
  readonly clear: () => void;
}

/** Something that a person asked for, with how it went. */
export function useAction(): Doing {
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<Problem | null>(null);
  const run = useCallback(async (what: () => Promise<unknown>): Promise<boolean> => {
    setBusy(true);
    setProblem(null);
    try {
      await what();
      return true;
    } catch (error) {
      setProblem(asProblem(error));
      return false;
    } finally {
      setBusy(false);
    }
  }, []);
  const clear = useCallback(() => setProblem(null), []);
  return { busy, problem, run, clear };
}

export function asProblem(error: unknown): Problem {
  if (error instanceof Problem) return error;
  return new Problem(error instanceof Error ? error.message : String(error), 'internal', 0);
}
