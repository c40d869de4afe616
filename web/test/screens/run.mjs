// Takes a picture of every page state, in every language, at two sizes, from the
// built pages and the fake server, and checks that nothing sticks out sideways.
// Usage: npm run screens -- <folder> [state…]
import { createReadStream, existsSync, mkdirSync, readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { extname, join } from 'node:path';
import { chromium } from 'playwright-core';
import { networkScenarios } from './network.mjs';
import { recordingScenarios } from './recording.mjs';
import { scenarios } from './scenarios.mjs';

const here = import.meta.dirname;
const dist = join(here, '..', '..', 'dist');
const [folder, ...only] = process.argv.slice(2);
if (!folder) {
  console.error('usage: npm run screens -- <folder> [state…]');
  process.exit(2);
}
mkdirSync(folder, { recursive: true });

const types = { '.html': 'text/html', '.js': 'text/javascript', '.css': 'text/css', '.svg': 'image/svg+xml' };

/** The built pages under the same paths as the real server's. */
function serve() {
  const server = createServer((req, res) => {
    const path = new URL(req.url ?? '/', 'http://localhost').pathname;
    const name =
      path === '/'
        ? 'index.html'
        : path.startsWith('/room/')
          ? 'room.html'
          : path === '/doctor'
            ? 'doctor.html'
            : path.slice(1);
    const file = join(dist, name);
    if (name.includes('..') || !existsSync(file)) {
      res.writeHead(404).end();
      return;
    }
    res.writeHead(200, { 'Content-Type': types[extname(file)] ?? 'application/octet-stream' });
    createReadStream(file).pipe(res);
  });
  return new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(server)));
}

const server = await serve();
const base = `http://localhost:${server.address().port}`;
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: [
    '--no-sandbox',
    '--disable-gpu',
    '--use-fake-ui-for-media-stream',
    '--use-fake-device-for-media-stream',
    '--autoplay-policy=no-user-gesture-required',
  ],
});
const fake = readFileSync(join(here, 'fake-server.js'), 'utf8');
const sizes = {
  phone: { width: 360, height: 740 },
  tall: { width: 390, height: 844 },
  desktop: { width: 1280, height: 800 },
  side: { width: 740, height: 360 },
  narrow: { width: 320, height: 568 },
};
let bad = 0;

async function picture(lang, size, name, { at, scenario, steps, settle = 400 }) {
  const context = await browser.newContext({
    viewport: sizes[size],
    locale: lang,
    permissions: ['camera', 'microphone'],
    reducedMotion: 'reduce',
  });
  const page = await context.newPage();
  const where = `${name}-${size}-${lang}`;
  page.on('pageerror', (e) => {
    bad++;
    console.error(`${where}: ${e.stack ?? e.message}`);
  });
  await page.addInitScript(`window.scenario = ${JSON.stringify(scenario)};\n${fake}`);
  try {
    await page.goto(base + at);
    await page.waitForSelector('h1');
    await page.waitForTimeout(300);
    await steps?.(page);
    await page.waitForTimeout(settle);
    const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    if (wide > 0) {
      bad++;
      console.error(`${where}: sticks out by ${wide} px`);
    }
    await page.screenshot({ path: join(folder, `${where}.png`), fullPage: true });
  } catch (e) {
    bad++;
    console.error(`${where}: ${e.message}`);
  }
  await context.close();
}

const langs = (process.env.LANGS ?? 'en,fr,ar').split(',');
const chosenSizes = (process.env.SIZES ?? 'phone,desktop').split(',');
const jobs = langs.flatMap((lang) =>
  Object.entries({ ...scenarios(lang), ...recordingScenarios(lang), ...networkScenarios(lang) })
    .filter(([name]) => only.length === 0 || only.includes(name))
    .flatMap(([name, s]) => chosenSizes.map((size) => () => picture(lang, size, name, s))),
);
// Mostly waiting, so a few at a time.
await Promise.all(
  Array.from({ length: 4 }, async () => {
    for (let job = jobs.shift(); job; job = jobs.shift()) await job();
  }),
);
await browser.close();
server.close();
process.exit(bad > 0 ? 1 : 0);
