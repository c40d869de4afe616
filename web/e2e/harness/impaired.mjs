// A bad network between the browsers and the server: the relay of
// internal/impair on the port the server advertises, the server behind it on
// another, as behind a NAT.
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { enter, person, stats } from './browser.mjs';
import { freeUDPPort, until } from './process.mjs';
import { startServer } from './server.mjs';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../../..');
const program = path.join(root, '.artifacts/impair');

/** Starts the relay before a UDP port of this machine. */
export async function startRelay(target, { shared = false, seed = 1 } = {}) {
  mkdirSync(path.dirname(program), { recursive: true });
  const built = spawnSync('go', ['build', '-o', program, './internal/impair/cmd/impair'], { cwd: root, encoding: 'utf8' });
  if (built.status !== 0) throw new Error(`go build: ${built.stderr ?? built.error}`);
  const args = ['--target', `127.0.0.1:${target}`, '--seed', String(seed), ...(shared ? ['--shared'] : [])];
  const child = spawn(program, args, { stdio: ['pipe', 'pipe', 'inherit'] });
  const done = new Promise((resolve) => child.on('exit', (code, signal) => resolve({ code, signal })));
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const read = async () => {
    const { value, done: over } = await lines.next();
    if (over) throw new Error('the relay has ended');
    return JSON.parse(value);
  };
  let turn = Promise.resolve(); // one command at a time: answers come in order
  const ask = (command) => {
    const answer = turn.then(async () => {
      child.stdin.write(`${JSON.stringify(command)}\n`);
      const a = await read();
      if (!a.ok) throw new Error(`the relay: ${a.error}`);
      return a;
    });
    turn = answer.catch(() => {});
    return answer;
  };
  const { listen } = await read();
  return {
    port: Number(listen.split(':').pop()),
    pid: child.pid,
    /**
     * Changes a preset ('rural-3g'), or profiles ({ up, down }); of everybody, or
     * with { client: port } or { new: true } of one, or of those to come.
     */
    set: (profile, whom = {}) => ask({ op: 'set', ...(typeof profile === 'string' ? { preset: profile } : profile), ...whom }),
    counters: async () => (await ask({ op: 'counters' })).counters,
    presets: async () => (await ask({ op: 'presets' })).presets,
    async stop() {
      process.kill(child.pid, 'SIGTERM');
      const { code } = await done;
      assert.equal(code, 0, 'the relay failed');
    },
  };
}

/** bin/chatmed whose media goes through a relay. */
export async function startImpaired(extra = {}, options = {}) {
  const udp = await freeUDPPort();
  const relay = await startRelay(udp, options);
  const server = await startServer({
    CHATMED_UDP_PORT: String(udp),
    CHATMED_UDP_ADVERTISED_PORT: String(relay.port),
    CHATMED_LOG_LEVEL: 'info',
    ...extra,
  });
  return {
    server,
    relay,
    async stop() {
      await server.stop();
      await relay.stop();
    },
  };
}

/** A camera with as much detail and movement as a hand-held one: it fills the rate. */
function busyCamera() {
  const file = path.join(root, '.artifacts/media/busy.y4m');
  mkdirSync(path.dirname(file), { recursive: true });
  const r = spawnSync('ffmpeg', [
    '-v', 'error', '-n', '-f', 'lavfi', '-i', 'testsrc2=s=640x360:r=25:d=4',
    '-vf', "scroll=h=0.002:v=0.001,noise=alls=14:allf=t", '-pix_fmt', 'yuv420p', file,
  ], { encoding: 'utf8' });
  if (r.status !== 0 && !r.stderr.includes('already exists')) throw new Error(`ffmpeg: ${r.stderr}`);
  return file;
}

/** A person with that camera, in a view that fits two on a small machine. */
export const caller = (who) => person(who, { viewport: { width: 800, height: 600 }, args: [`--use-file-for-fake-video-capture=${busyCamera()}`] });

/**
 * A call of the two, in which the patient's link is that preset and the doctor's
 * has no fault.
 */
export async function call({ server, relay }, patient, doctor, preset) {
  await relay.set('unimpaired');
  const s = await server.api('POST', '/consultations/video/create', { doctor_id: 'doc', patient_id: `pat_${Date.now()}` });
  await enter(patient, s.patient_join_url, 'Jeanne');
  await enter(doctor, s.doctor_join_url, 'Dr. Haddad');
  await until('the doctor connected', () => connected(doctor));
  const before = Object.keys((await relay.counters()).clients);
  await relay.set(preset, { new: true });
  await doctor.page.locator('[data-testid^=admit-]').click();
  await until('the patient connected', () => connected(patient), 60_000);
  const seen = await until('the pair in use', () => selected(patient));
  const { clients } = await relay.counters();
  // The browser may know the pair by the port the server sees it at.
  const [addr] = Object.entries(clients).find(([a, c]) => !before.includes(a) && (c.via === seen || portOf(a) === seen)) ?? [];
  assert.ok(addr, `no client has port ${seen}: ${Object.keys(clients)}`);
  return {
    ...s,
    /** The patient's source port, as the relay knows it. */
    port: portOf(addr),
    /** What the relay has counted of the patient's connection. */
    link: async () => (await relay.counters()).clients[addr],
    async leave() {
      for (const p of [patient, doctor]) await p.page.goto('about:blank');
    },
  };
}

const portOf = (addr) => Number(addr.split(':').pop());

const connected = (p) => p.page.evaluate(() => window.testConnections.some((pc) => pc.connectionState === 'connected'));

/** The pair in use; none right after connecting, while the statistics lag behind. */
function pairOf(all) {
  const transport = all.find((s) => s.type === 'transport' && s.selectedCandidatePairId);
  return all.find((s) => s.id === transport?.selectedCandidatePairId);
}

/** Its local port. */
async function selected(p) {
  const all = await stats(p.page);
  return all.find((s) => s.id === pairOf(all)?.localCandidateId)?.port;
}

const sum = (list, field) => list.reduce((n, s) => n + (s[field] ?? 0), 0);

/** Running totals of what a page receives, and the round trip now (s). */
export async function received(p) {
  const all = await stats(p.page);
  const inbound = (kind) => all.filter((s) => s.type === 'inbound-rtp' && s.kind === kind && s.packetsReceived > 0);
  const [video, audio] = [inbound('video'), inbound('audio')];
  const of = (list, ...fields) => Object.fromEntries(fields.map((f) => [f, sum(list, f)]));
  return {
    at: performance.now(),
    rtt: pairOf(all)?.currentRoundTripTime ?? NaN,
    video: of(video, 'bytesReceived', 'packetsReceived', 'packetsLost', 'framesDecoded', 'freezeCount', 'totalFreezesDuration', 'jitterBufferDelay', 'jitterBufferEmittedCount', 'pliCount'),
    audio: of(audio, 'bytesReceived', 'packetsReceived', 'packetsLost', 'concealedSamples', 'silentConcealedSamples', 'totalSamplesReceived', 'jitterBufferDelay', 'jitterBufferEmittedCount'),
  };
}

/** What happened between two calls of received, as figures for a table. */
export function between(a, b) {
  const d = (kind, field) => b[kind][field] - a[kind][field];
  const seconds = (b.at - a.at) / 1000;
  const ratio = (x, y) => (y > 0 ? x / y : NaN);
  const fps = d('video', 'framesDecoded') / seconds;
  // A freeze is counted when it ends: a picture that stands still all the time has none.
  const frozen = fps < 0.2 ? 1 : d('video', 'totalFreezesDuration') / seconds;
  return {
    videoKbps: (d('video', 'bytesReceived') * 8) / 1000 / seconds,
    audioKbps: (d('audio', 'bytesReceived') * 8) / 1000 / seconds,
    fps,
    frozen,
    freezes: d('video', 'freezeCount'),
    videoDelayMs: 1000 * ratio(d('video', 'jitterBufferDelay'), d('video', 'jitterBufferEmittedCount')),
    concealed: ratio(d('audio', 'concealedSamples'), d('audio', 'totalSamplesReceived')),
    audioDelayMs: 1000 * ratio(d('audio', 'jitterBufferDelay'), d('audio', 'jitterBufferEmittedCount')),
    rttMs: 1000 * b.rtt,
  };
}
