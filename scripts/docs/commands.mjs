/** The reference of the command, from what it says to --help, and of the limits and codes that stand in tables of the source. */
import { errorTable, limits } from '../../packages/waymark/dist/bundle/engine.js';
import { run } from '../../packages/server/dist/cli/program.js';

/** @returns pages of the commands, and of limits and codes */
export async function commandPages() {
  const parts = [
    '# Every command and option\n\nMade from `waymark … --help`. `waymark serve` has the options of a server; its environment variables stand beside them. [The `waymark` command](../cli.md) tells what they are for.',
  ];
  await describe([], parts);
  return [
    { path: 'docs/reference/api/commands.md', text: `${parts.join('\n\n')}\n` },
    { path: 'docs/reference/api/limits.md', text: limitsPage() },
  ];
}

async function describe(words, parts) {
  const help = await helpOf(words);
  parts.push(`## waymark ${words.join(' ')}`.trim(), `\`\`\`\n${help.trim()}\n\`\`\``);
  const list = /^Commands:\n((?: .*\n|\n(?= ))*)/m.exec(help)?.[1] ?? '';
  for (const [, name] of list.matchAll(/^ {2}([a-z][\w-]*)/gm))
    if (name !== 'help') await describe([...words, name], parts);
}

async function helpOf(words) {
  let said = '';
  const write = process.stdout.write;
  process.stdout.write = (text) => {
    said += text;
    return true;
  };
  try {
    await run(['node', 'waymark', ...words, '--help']);
  } finally {
    process.stdout.write = write;
  }
  return said;
}

function limitsPage() {
  const limitRows = Object.entries(limits).map(
    ([name, value]) => `| \`${name}\` | ${value.toLocaleString('en').replaceAll(',', ' ')} |`,
  );
  const codeRows = Object.entries(errorTable).map(
    ([name, { http, grpc, exit }]) => `| \`${name}\` | ${http} | ${grpc} | ${exit} |`,
  );
  return `# Limits and codes

Made from \`limits\` and \`errorTable\` of \`waymark/engine\`. One over a limit is \`too_large\`, naming the limit, before any work. [Errors](../errors.md) tells what to do.

## Limits

| limit | value |
| --- | --- |
${limitRows.join('\n')}

## Codes

| code | HTTP | gRPC | exit of \`waymark\` |
| --- | --- | --- | --- |
${codeRows.join('\n')}
`;
}
