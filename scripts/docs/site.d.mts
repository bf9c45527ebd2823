export interface Page {
  /** From the repository's root, with slashes. */
  readonly path: string;
  readonly text: string;
}

export interface Built {
  /** Links to nothing, each as `PAGE: LINK`. */
  readonly dead: readonly string[];
  readonly pages: number;
}

export function buildSite(folder?: string): Promise<Built>;

export function writeSite(pages: readonly Page[], folder: string): Built;
