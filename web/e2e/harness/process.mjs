// Child processes of a test: started on free ports in a temporary directory,
// ended by pid when the test is over.
import { spawn, spawnSync } from 'node:child_process';
import { createServer } from 'node:net';
import { createSocket } from 'node:dgram';
import { mkdtempSync, rmSync, chownSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

/** A free TCP port on the loopback address. */
export function freePort() {
  return new Promise((resolve, reject) => {
    const s = createServer();
    s.on('error', reject);
    s.listen(0, '127.0.0.1', () => {
      const { port } = s.address();
      s.close(() => resolve(port));
    });
  });
}

/** A free UDP port on the loopback address. */
export function freeUDPPort() {
  return new Promise((resolve, reject) => {
    const s = createSocket('udp4');
    s.on('error', reject);
    s.bind(0, '127.0.0.1', () => {
      const { port } = s.address();
      s.close(() => resolve(port));
    });
  });
}

export function tempDir(name, owner) {
  const dir = mkdtempSync(path.join(tmpdir(), `chatmed-${name}-`));
  if (owner) {
    const id = (flag) => Number(spawnSync('id', [flag, owner], { encoding: 'utf8' }).stdout);
    chownSync(dir, id('-u'), id('-g'));
  }
  return { dir, remove: () => rmSync(dir, { recursive: true, force: true }) };
}

/** Polls until probe answers something truthy; fails with the last reason. */
export async function until(what, probe, timeout = 30_000) {
  const end = Date.now() + timeout;
  let last;
  for (;;) {
    try {
      const v = await probe();
      if (v) return v;
      last = `last value ${JSON.stringify(v)}`;
    } catch (err) {
      last = err;
    }
    if (Date.now() > end) throw new Error(`waited ${timeout} ms for ${what}: ${last?.stack ?? last}`);
    await new Promise((r) => setTimeout(r, 50));
  }
}

/** Starts a program; stop() ends it with SIGTERM and awaits it. */
export function start(command, args, options = {}) {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], ...options });
  let log = '';
  let exited = false;
  const keep = (d) => {
    log += d;
    if (process.env.E2E_VERBOSE) process.stderr.write(d);
  };
  child.stdout.on('data', keep);
  child.stderr.on('data', keep);
  const done = new Promise((resolve) => {
    child.on('exit', (code, signal) => {
      exited = true;
      resolve({ code, signal });
    });
    child.on('error', (err) => {
      exited = true;
      log += `${err}`;
      resolve({ code: -1 });
    });
  });
  return {
    pid: child.pid,
    get log() {
      return log;
    },
    get exited() {
      return exited;
    },
    async stop(signal = 'SIGTERM') {
      if (!exited) process.kill(child.pid, signal);
      return done;
    },
    done,
  };
}
