import pc from 'picocolors';

/** Colors for one stream: for a person at a terminal, or forced; never into a pipe, not even where a CI is known to show them. */
function colorsFor(stream: {
  readonly isTTY?: boolean | undefined;
}): ReturnType<typeof pc.createColors> {
  const { FORCE_COLOR: forced } = process.env;
  const wanted = stream.isTTY === true || (forced !== undefined && forced !== '0');
  return pc.createColors(wanted && pc.isColorSupported);
}

export const outColors = colorsFor(process.stdout);
export const errColors = colorsFor(process.stderr);
