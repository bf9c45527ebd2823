import type { JSX } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { json } from './api.js';
import { useAction, usePoll, useSession } from './hooks.js';
import { goTo, linkTo, type Route, useRoute } from './route.js';
import { session } from './session.js';
import { chooseTheme, currentTheme, type Theme } from './theme.js';
import { Button, Field, Note, Trouble } from './ui.js';
import { viewOf, views } from './views.js';

export function App(): JSX.Element {
  const { refused, token } = useSession();
  const route = useRoute();
  if (refused !== null) return <SignIn why={refused} />;
  // A new person sees everything anew.
  return <Shell route={route} key={token ?? ''} />;
}

function Shell({ route }: { readonly route: Route }): JSX.Element {
  const { token } = useSession();
  const View = viewOf(route.view);
  useKeys(route);
  return (
    <div class="shell">
      <a class="skip" href="#main" onClick={skip}>
        To the contents
      </a>
      <header>
        <a class="brand" href={linkTo('overview', route.ns)}>
          Waymark
        </a>
        <Namespaces route={route} />
        <span class="grow" />
        <ThemeChoice />
        {token !== null && <Button onClick={() => session.signOut()}>Sign out</Button>}
      </header>
      <Navigation route={route} />
      <main id="main" tabIndex={-1}>
        <View ns={route.ns} path={route.path} key={`${route.view} ${route.ns}`} />
      </main>
    </div>
  );
}

function Navigation({ route }: { readonly route: Route }): JSX.Element {
  return (
    <nav aria-label="Views">
      <ul>
        {views.map(({ name, title, spaced }) => (
          <li key={name}>
            <a
              href={linkTo(name, spaced ? route.ns : undefined)}
              aria-current={route.view === name ? 'page' : undefined}
            >
              {title}
            </a>
          </li>
        ))}
      </ul>
    </nav>
  );
}

function Namespaces({ route }: { readonly route: Route }): JSX.Element {
  const { data } = usePoll(
    'namespaces',
    (signal) => json<{ namespaces: string[] }>('/v1/ns', { signal }),
    10_000,
  );
  const names = [...new Set(['default', ...(data?.namespaces ?? []), route.ns])].sort();
  const spaced = views.some(({ name, spaced }) => spaced && name === route.view);
  return (
    <label class="inline">
      Namespace{' '}
      <select
        value={route.ns}
        onChange={(event) => goTo(spaced ? route.view : 'tree', event.currentTarget.value)}
      >
        {names.map((name) => (
          <option value={name} key={name}>
            {name}
          </option>
        ))}
      </select>
    </label>
  );
}

function ThemeChoice(): JSX.Element {
  const [theme, setTheme] = useState(currentTheme);
  return (
    <label class="inline">
      Theme{' '}
      <select
        value={theme}
        onChange={(event) => {
          const chosen = event.currentTarget.value as Theme;
          chooseTheme(chosen);
          setTheme(chosen);
        }}
      >
        <option value="auto">auto</option>
        <option value="light">light</option>
        <option value="dark">dark</option>
      </select>
    </label>
  );
}

function SignIn({ why }: { readonly why: string }): JSX.Element {
  const [token, setToken] = useState('');
  const { busy, problem, run } = useAction();
  const form = useRef<HTMLFormElement>(null);
  useEffect(() => {
    document.title = 'Sign in · Waymark';
    form.current?.querySelector('input')?.focus();
  }, []);
  const submit = (event: Event): void => {
    event.preventDefault();
    void run(async () => {
      session.signIn(token.trim());
      await json('/v1/ns');
    });
  };
  return (
    <main class="sign-in">
      <h1>Waymark</h1>
      {why !== '' && <Note>{why}</Note>}
      <form ref={form} onSubmit={submit}>
        <Field label="Token" type="password" value={token} onInput={setToken} required />
        <Button type="submit" kind="main" disabled={busy}>
          Sign in
        </Button>
      </form>
      <Trouble problem={problem} />
      <p class="empty">It is kept for this tab, until it is closed.</p>
    </main>
  );
}

/** `/` goes to the path field, `u` one level up, digits to the views. Not while something is typed. */
function useKeys(route: Route): void {
  useEffect(() => {
    const pressed = (event: KeyboardEvent): void => {
      const typing =
        event.target instanceof Element && event.target.closest('input,textarea,select,dialog');
      if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
      if (event.key === '/') {
        event.preventDefault();
        document.querySelector<HTMLInputElement>('main input')?.focus();
      } else if (event.key === 'u' && route.path !== '/') {
        goTo(route.view, route.ns, route.path.slice(0, route.path.lastIndexOf('/')) || '/');
      } else {
        const view = views[Number(event.key) - 1];
        if (view !== undefined && /^[1-9]$/.test(event.key))
          goTo(view.name, view.spaced ? route.ns : undefined);
      }
    };
    addEventListener('keydown', pressed);
    return () => removeEventListener('keydown', pressed);
  }, [route]);
}

/** The address says which view it is: a link within the page must not change it. */
function skip(event: Event): void {
  event.preventDefault();
  document.getElementById('main')?.focus();
}
