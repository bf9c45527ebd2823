import type { FastifyInstance, FastifyReply } from 'fastify';
import { WaymarkError } from 'waymark';
import { answers } from '../http/answers.js';

/**
 * The console: a page at `/` and its files below `/console/`. They hold no data, so anyone may have them: what the page shows it asks of
 * REST, with the token of who looks.
 */
export async function consoleRoutes(app: FastifyInstance, frontPage: string): Promise<void> {
  const { built } = await import('./built.js');
  const files = built();
  const index = files.get('index.html');
  const front = { tags: ['operations'], response: answers.text };
  app.get('/', { schema: front }, async (request, reply) => {
    void reply.header('vary', 'accept');
    // Browsers say that they take HTML; curl and such read a text.
    const page = request.headers.accept?.includes('text/html') === true ? index : undefined;
    if (page === undefined) return await reply.type('text/plain; charset=utf-8').send(frontPage);
    return await guarded(reply).header('cache-control', 'no-cache').type(types['html']).send(page);
  });
  app.get('/console/:file', { schema: { hide: true } }, async (request, reply) => {
    const { file } = request.params as { file: string };
    const text = files.get(file);
    const type = new Map(Object.entries(types)).get(file.slice(file.lastIndexOf('.') + 1));
    if (text === undefined || type === undefined)
      throw new WaymarkError('not_found', 'the console has no such file');
    // Names change with what is in them, but that of the page.
    const kept = file === 'index.html' ? 'no-cache' : 'public, max-age=31536000, immutable';
    return await guarded(reply).header('cache-control', kept).type(type).send(text);
  });
}

const types = {
  html: 'text/html; charset=utf-8',
  js: 'text/javascript; charset=utf-8',
  css: 'text/css; charset=utf-8',
  svg: 'image/svg+xml',
} as const;

/** Scripts and styles come from this server alone, nothing stands inline, no text becomes markup, and nobody frames it. */
const policy = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self'",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
  "require-trusted-types-for 'script'",
  "trusted-types 'none'",
].join('; ');

function guarded(reply: FastifyReply): FastifyReply {
  return reply.headers({
    'content-security-policy': policy,
    'cross-origin-opener-policy': 'same-origin',
    'cross-origin-resource-policy': 'same-origin',
    'referrer-policy': 'no-referrer',
    'x-content-type-options': 'nosniff',
    'x-frame-options': 'DENY',
  });
}
