import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { brotliCompressSync, constants, gzipSync } from 'node:zlib';
import { defineConfig, type Plugin } from 'vite';

const root = import.meta.dirname;
const out = resolve(root, 'dist');

/** Writes .br and .gz beside each text file, so that the server never compresses. */
function precompress(): Plugin {
  return {
    name: 'precompress',
    apply: 'build',
    closeBundle() {
      for (const entry of readdirSync(out, { recursive: true, withFileTypes: true })) {
        if (!entry.isFile() || !/\.(js|css|html|svg)$/.test(entry.name)) continue;
        const path = join(entry.parentPath, entry.name);
        const body = readFileSync(path);
        const params = { [constants.BROTLI_PARAM_QUALITY]: 11 };
        writeFileSync(`${path}.br`, brotliCompressSync(body, { params }));
        writeFileSync(`${path}.gz`, gzipSync(body, { level: 9 }));
      }
      // The Go build embeds this folder and needs it to exist in a fresh clone.
      writeFileSync(join(out, '.keep'), '');
    },
  };
}

export default defineConfig({
  root,
  base: '/',
  appType: 'mpa',
  publicDir: false,
  plugins: [precompress()],
  build: {
    outDir: out,
    emptyOutDir: true,
    target: ['es2021', 'chrome100', 'firefox102', 'safari15'],
    // Inlined files would be data: URLs, which the content security policy refuses.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    rolldownOptions: {
      input: {
        index: resolve(root, 'index.html'),
        room: resolve(root, 'room.html'),
        doctor: resolve(root, 'doctor.html'),
      },
    },
  },
  server: {
    proxy: { '/signal': { target: 'http://localhost:8080', ws: true } },
  },
});
