// Fails the build when the JavaScript a page loads first exceeds its budget.
import { readFileSync } from 'node:fs';
import { dirname, join, posix } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';

const dist = join(dirname(fileURLToPath(import.meta.url)), '..', 'dist');
const budgets = { 'room.html': 100_000, 'doctor.html': 100_000, 'index.html': 60_000 };

/** Every script reachable by static imports from a page, each once. */
function scripts(page) {
  const html = readFileSync(join(dist, page), 'utf8');
  const queue = [...html.matchAll(/(?:src|href)="(\/assets\/[^"]+\.js)"/g)].map((m) => m[1]);
  const seen = new Set();
  while (queue.length > 0) {
    const path = queue.pop();
    if (seen.has(path)) continue;
    seen.add(path);
    const code = readFileSync(join(dist, path), 'utf8');
    for (const [, spec] of code.matchAll(/(?:from|import)\s*["'](\.\/[^"']+\.js)["']/g)) {
      queue.push(posix.join(posix.dirname(path), spec));
    }
  }
  return [...seen];
}

let failed = false;
for (const [page, budget] of Object.entries(budgets)) {
  const bytes = scripts(page).reduce((sum, path) => sum + gzipSync(readFileSync(join(dist, path))).length, 0);
  const over = bytes > budget;
  failed ||= over;
  console.log(`${over ? 'OVER' : 'ok  '} ${page}: ${bytes} B gzip JavaScript of ${budget} B`);
}
process.exit(failed ? 1 : 0);
