import type { ComponentChildren, JSX } from 'preact';
import { useEffect, useId, useLayoutEffect, useRef, useState } from 'preact/hooks';
import type { Problem } from './api.js';

/** What the views are made of. Texts stand in elements as text: nothing here makes markup of a value. */

export function Page(props: {
  readonly title: string;
  readonly lead?: ComponentChildren;
  readonly children: ComponentChildren;
}): JSX.Element {
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => {
    document.title = `${props.title} · Waymark`;
    heading.current?.focus({ preventScroll: true });
  }, [props.title]);
  return (
    <>
      <h1 tabIndex={-1} ref={heading}>
        {props.title}
      </h1>
      {props.lead !== undefined && <p class="lead">{props.lead}</p>}
      {props.children}
    </>
  );
}

export function Trouble({ problem }: { readonly problem: Problem | null }): JSX.Element | null {
  if (problem === null) return null;
  return (
    <p class="notice bad" role="alert">
      <strong>{problem.code.replaceAll('_', ' ')}</strong> {problem.message}
    </p>
  );
}

export function Note({ children }: { readonly children: ComponentChildren }): JSX.Element {
  return (
    <p class="notice" role="status">
      {children}
    </p>
  );
}

export function Button(props: {
  readonly onClick?: () => void;
  readonly kind?: 'plain' | 'main' | 'danger';
  readonly type?: 'button' | 'submit';
  readonly disabled?: boolean;
  readonly label?: string;
  readonly children: ComponentChildren;
}): JSX.Element {
  const { kind = 'plain', type = 'button', disabled = false, label, onClick, children } = props;
  return (
    <button
      type={type}
      class={`button ${kind}`}
      disabled={disabled}
      aria-label={label}
      onClick={onClick}
    >
      {children}
    </button>
  );
}

/** A table that can be scrolled sideways on its own, and by keyboard. */
export function Table(props: {
  readonly caption: string;
  readonly heads: readonly string[];
  readonly rows: readonly ComponentChildren[];
  readonly empty: string;
}): JSX.Element {
  const { caption, heads, rows, empty } = props;
  if (rows.length === 0) return <p class="empty">{empty}</p>;
  return (
    <div class="scroll" role="region" aria-label={caption} tabIndex={0}>
      <table>
        <caption class="unseen">{caption}</caption>
        <thead>
          <tr>
            {heads.map((head) => (
              <th scope="col" key={head}>
                {head}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>{rows}</tbody>
      </table>
    </div>
  );
}

export function Field(props: {
  readonly label: string;
  readonly value: string;
  readonly onInput: (value: string) => void;
  readonly type?: 'text' | 'password' | 'number';
  readonly hint?: string;
  readonly required?: boolean;
}): JSX.Element {
  const id = useId();
  const { label, value, onInput, type = 'text', hint, required = false } = props;
  return (
    <div class="field">
      <label for={id}>{label}</label>
      <input
        id={id}
        type={type as 'text'}
        value={value}
        required={required}
        placeholder={hint}
        autocomplete="off"
        spellcheck={false}
        onInput={(event) => onInput(event.currentTarget.value)}
      />
    </div>
  );
}

/** Where to look: a path that is typed, and gone to. */
export function PathForm(props: {
  readonly path: string;
  readonly onGo: (path: string) => void;
  readonly action?: string;
  readonly children?: ComponentChildren;
}): JSX.Element {
  const { path, onGo, action = 'Go', children } = props;
  const [typed, setTyped] = useState(path);
  useEffect(() => setTyped(path), [path]);
  const submit = (event: Event): void => {
    event.preventDefault();
    onGo(typed.startsWith('/') ? typed : `/${typed}`);
  };
  return (
    <form class="row" onSubmit={submit}>
      <Field label="Path" value={typed} onInput={setTyped} />
      {children}
      <Button type="submit">{action}</Button>
    </form>
  );
}

/** Asks before something is done; Escape closes it. */
export function Dialog(props: {
  readonly title: string;
  readonly onClose: () => void;
  readonly children: ComponentChildren;
}): JSX.Element {
  const element = useRef<HTMLDialogElement>(null);
  const id = useId();
  useLayoutEffect(() => {
    const dialog = element.current;
    dialog?.showModal();
    return () => dialog?.close();
  }, []);
  return (
    <dialog ref={element} aria-labelledby={id} onCancel={props.onClose}>
      <h2 id={id}>{props.title}</h2>
      {props.children}
    </dialog>
  );
}

export function Badge(props: {
  readonly kind?: 'good' | 'bad' | 'plain' | 'warn';
  readonly children: ComponentChildren;
}): JSX.Element {
  return <span class={`badge ${props.kind ?? 'plain'}`}>{props.children}</span>;
}
