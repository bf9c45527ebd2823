/** It brings no types: what is used of it is told in library.ts. */
declare module '@xmpp/client';
