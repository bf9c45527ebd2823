/** Dark or light: as the machine is, unless it was chosen here. */

const slot = 'waymark-theme';
export type Theme = 'auto' | 'light' | 'dark';

export function currentTheme(): Theme {
  const kept = localStorage.getItem(slot);
  return kept === 'light' || kept === 'dark' ? kept : 'auto';
}

export function chooseTheme(theme: Theme): void {
  localStorage.setItem(slot, theme);
  applyTheme();
}

export function applyTheme(): void {
  document.documentElement.dataset['theme'] = currentTheme();
  for (const listener of listeners) listener();
}

const listeners = new Set<() => void>();

/** Told whenever colours change, by choice or by the machine. */
export function onTheme(listener: () => void): () => void {
  const machine = matchMedia('(prefers-color-scheme: dark)');
  listeners.add(listener);
  machine.addEventListener('change', listener);
  return () => {
    listeners.delete(listener);
    machine.removeEventListener('change', listener);
  };
}
