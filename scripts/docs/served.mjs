/** The reference of what a server answers: its REST face and its metrics, as a server that was just started tells them. */
import { startServer } from './start-server.mjs';

/** @returns pages of the REST face and of the metrics */
export async function servedPages() {
  const { openapi, metrics } = await startServer(async (url) => ({
    openapi: await (await fetch(`${url}/openapi.json`)).json(),
    metrics: await (await fetch(`${url}/metrics`)).text(),
  }));
  return [
    { path: 'docs/reference/api/rest.md', text: restPage(openapi) },
    { path: 'docs/reference/api/metrics.md', text: metricsPage(metrics) },
  ];
}

function restPage({ info, paths }) {
  const parts = [
    `# REST, operation by operation\n\nMade from \`/openapi.json\` (${info.title} ${info.version}), which every server answers and which its requests are checked against. What the operations are for stands in [REST](../rest.md).`,
  ];
  for (const [path, operations] of Object.entries(paths)) {
    for (const [verb, operation] of Object.entries(operations))
      parts.push(operationSection(path, verb, operation));
  }
  return `${parts.join('\n\n')}\n`;
}

function operationSection(
  path,
  verb,
  { summary, description, parameters, requestBody, responses },
) {
  const parts = [`## ${verb.toUpperCase()} ${path}`];
  for (const text of [summary, description]) if (text !== undefined) parts.push(text);
  if (parameters?.length > 0) {
    const rows = parameters.map(
      ({ name, in: where, required, schema, description: about }) =>
        `| \`${name}\` | ${where}${required === true ? ', required' : ''} | ${shapeOf(schema)} | ${cell(about ?? schema?.description)} |`,
    );
    parts.push(['| parameter | in | shape | |', '| --- | --- | --- | --- |', ...rows].join('\n'));
  }
  for (const [type, { schema }] of Object.entries(requestBody?.content ?? {}))
    parts.push(`Body, \`${type}\`:`, fence(schema));
  for (const [status, { description: about, content }] of Object.entries(responses ?? {})) {
    const types = Object.keys(content ?? {});
    parts.push(
      `**${status}** ${about ?? ''}${types.length === 0 ? '' : ` (\`${types.join('`, `')}\`)`}`,
    );
    const schema = content?.['application/json']?.schema;
    if (schema !== undefined) parts.push(fence(schema));
  }
  return parts.join('\n\n');
}

function fence(schema) {
  return schema === undefined ? 'any' : `\`\`\`json\n${JSON.stringify(schema, null, 2)}\n\`\`\``;
}

function shapeOf(schema) {
  if (schema === undefined) return '';
  const { type, minimum, maximum, pattern, default: preset } = schema;
  const bounds =
    minimum === undefined && maximum === undefined ? '' : ` ${minimum ?? ''} … ${maximum ?? ''}`;
  const values = schema.enum ?? schema.anyOf?.map((one) => one.const ?? one.type);
  const what =
    values === undefined ? (type ?? '') : values.map((value) => JSON.stringify(value)).join(' or ');
  const match = pattern === undefined ? '' : ` ${code(pattern)}`;
  return cell(
    `${what}${bounds}${match}${preset === undefined ? '' : `, default ${code(String(preset))}`}`,
  );
}

function metricsPage(text) {
  const about = new Map(
    [...text.matchAll(/^# HELP (\S+) (.*)$/gm)].map(([, name, help]) => [name, help]),
  );
  const rows = [...text.matchAll(/^# TYPE (\S+) (\S+)$/gm)].map(
    ([, name, type]) => `| \`${name}\` | ${type} | ${cell(about.get(name))} |`,
  );
  const head =
    '# Metrics, as a server tells them\n\nMade from `/metrics` of a server that was just started with a stash. [Metrics](../metrics.md) says what to look at.';
  return `${head}\n\n| name | type | what it counts |\n| --- | --- | --- |\n${rows.join('\n')}\n`;
}

function code(text) {
  return `\`${text.replaceAll('`', "'")}\``;
}

function cell(text = '') {
  return text.replaceAll('|', '\\|').replace(/\s*\n\s*/g, ' ');
}
