import { defineConfig } from 'vite';

/** Everything comes from the server itself, and nothing stands inline: its policy for contents allows neither. */
export default defineConfig({
  base: '/console/',
  build: {
    target: 'es2022',
    assetsDir: '.',
    assetsInlineLimit: 0,
    modulePreload: false,
    reportCompressedSize: false,
  },
});
