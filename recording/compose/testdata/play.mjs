// Plays files in Chromium and seeks in them: node play.mjs MODULES URL TIME...
// Prints, as JSON, the duration, how far it played in a second, and for each time
// sought the colour left and right of the middle.
import { createRequire } from 'node:module';

const [modules, url, ...times] = process.argv.slice(2);
const { chromium } = createRequire(modules)('playwright-core');
const browser = await chromium.launch({
  executablePath: '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-gpu', '--autoplay-policy=no-user-gesture-required'],
});
try {
  const page = await browser.newPage();
  await page.goto(new URL('/', url).href);
  const out = await page.evaluate(async ([src, seeks]) => {
    const v = document.createElement('video');
    v.muted = true;
    document.body.append(v);
    const event = (name) => new Promise((resolve, reject) => {
      v.addEventListener(name, resolve, { once: true });
      v.addEventListener('error', () => reject(new Error(`${name}: ${v.error?.message}`)), { once: true });
    });
    let done = event('loadeddata');
    v.src = src;
    await done;
    const canvas = document.createElement('canvas');
    canvas.width = v.videoWidth;
    canvas.height = v.videoHeight;
    const g = canvas.getContext('2d', { willReadFrequently: true });
    const at = (x) => [...g.getImageData(Math.floor(canvas.width * x), canvas.height / 2, 1, 1).data].slice(0, 3);
    await v.play();
    await new Promise((r) => setTimeout(r, 1000));
    v.pause();
    const played = v.currentTime;
    const sought = [];
    for (const t of seeks) {
      done = event('seeked');
      v.currentTime = t;
      await done;
      g.drawImage(v, 0, 0);
      sought.push({ at: v.currentTime, left: at(0.25), right: at(0.75) });
    }
    done = event('ended');
    v.currentTime = v.duration - 0.3;
    await v.play();
    await done;
    return { duration: v.duration, width: v.videoWidth, height: v.videoHeight, played, sought, ended: v.currentTime };
  }, [url, times.map(Number)]);
  console.log(JSON.stringify(out));
} finally {
  await browser.close();
}
