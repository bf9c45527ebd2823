/** Every name that the entries of the packages export, by the entry. */
export function exportedNames(): readonly {
  readonly name: string;
  readonly names: readonly string[];
}[];
